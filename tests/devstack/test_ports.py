"""Ports: the usual ones when free, others when not, the same again next time."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.devstack.conftest import Supervisor
from workers.devstack import ports
from workers.devstack.errors import StackError
from workers.devstack.stack import Stack

Start = Callable[..., Supervisor]


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_taken_default_gives_way(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ports.DEFAULTS, "mail", taken)
    chosen = ports.choose("mail", None, [])
    assert chosen != taken
    assert ports.is_free(chosen)


def test_the_previous_port_is_kept_before_the_default() -> None:
    previous = ports.any_free()
    assert ports.choose("mail", previous, []) == previous
    assert ports.choose("mail", previous, [previous]) != previous


def test_a_server_on_every_address_counts_as_taken() -> None:
    with socket.socket() as server:
        server.bind(("", 0))
        server.listen()
        assert not ports.is_free(server.getsockname()[1])


async def test_a_stack_finds_another_port_and_serves_there(
    data_dir: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ports.DEFAULTS, "mail", taken)
    async with Stack(data_dir, parts=["mail"]) as stack:
        assert stack.state.ports["mail"] != taken
        assert ports.answers(stack.state.ports["mail"])


async def test_a_port_lost_between_choice_and_start_is_chosen_again(data_dir: Path, taken: int) -> None:
    stack = Stack(data_dir, parts=["echo"])
    choose = stack._choose_ports

    def choose_then_lose() -> None:
        choose()
        stack.state.ports["echo"] = taken

    stack._choose_ports = choose_then_lose  # type: ignore[method-assign]
    async with stack:
        assert stack.state.ports["echo"] != taken
        assert json.loads((data_dir / "stack.json").read_text())["ports"] == stack.state.ports


async def test_a_port_asked_for_by_a_person_is_never_replaced(data_dir: Path, taken: int) -> None:
    with pytest.raises(StackError, match=f"Port {taken} is taken"):
        async with Stack(data_dir, parts=["mail"], port=taken):
            pass


def test_two_stacks_live_side_by_side(new_folder: Callable[[], Path], supervised: Start) -> None:
    parts = ("postgres", "temporal", "temporal_ui", "mail", "echo")
    one, two = (supervised(new_folder(), *parts) for _ in range(2))
    used = [
        {number for name, number in stack.state()["ports"].items() if name not in ("api", "s3")}
        for stack in (one, two)
    ]
    assert not used[0] & used[1]
    assert one.stop() == 0
    assert all(ports.answers(two.state()["ports"][name]) for name in parts)

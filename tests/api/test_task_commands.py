"""`perdure tasks` against the real API on a socket."""

import asyncio
import json
import sys

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from domain.tasks import digest_of
from perdure.cli import output
from perdure.cli.app import app
from tests.api.house import House, house
from tests.api.taskhouse import a_task
from tests.api.test_secret_commands import address
from tests.api.test_tasks import FORM

__all__ = ["address", "house"]


async def perdure(house: House, address: str, *words: str) -> Result:
    key = house.owner.http.headers["Authorization"].removeprefix("Bearer ")
    environment = {"PERDURE_API": address, "PERDURE_API_KEY": key, "NO_COLOR": "1"}
    return await asyncio.to_thread(CliRunner().invoke, app, ["tasks", *words], env=environment)


async def test_a_task_is_read_and_decided_about_what_was_read(house: House, address: str) -> None:
    arguments = {"amount": 100}
    given = {"form": FORM, "arguments": arguments, "arguments_digest": digest_of(arguments)}
    id = (await a_task(house, **given)).rpartition("/")[2]
    assert "May we?" in (await perdure(house, address, "list", "--mine")).stdout
    shown = await perdure(house, address, "show", id)
    assert f"digest:     {digest_of(arguments)}" in shown.stdout
    assert '"amount": 100' in shown.stdout
    unread = await perdure(house, address, "approve", id)
    assert unread.exit_code == 1
    assert f"`perdure tasks show {id}` shows them" in unread.stderr
    saw = ("--digest", digest_of(arguments))
    unfit = await perdure(house, address, "approve", id, *saw, "--data", '{"amount": 0}')
    assert (unfit.exit_code, "/amount" in unfit.stderr) == (1, True)
    other = await perdure(house, address, "submit", id)
    assert f"`perdure tasks approve {id}`" in other.stderr
    done = await perdure(house, address, "approve", id, *saw, "--data", '{"amount": 7}', "--comment", "ok")
    assert done.stdout == "“May we?” is approved.\n", done.stderr
    late = await perdure(house, address, "reject", id, *saw, "--json")
    assert late.exit_code == 1
    assert "already approved" in json.loads(late.stdout)["error"]["message"]
    told = json.loads((await perdure(house, address, "show", id, "--json")).stdout)
    assert told["task"]["decision"]["data"] == {"amount": 7}
    assert [each["kind"] for each in told["events"]] == ["opened", "decided"]


async def test_a_task_is_claimed_talked_about_and_handed_on(house: House, address: str) -> None:
    path = await a_task(house)
    id = path.rpartition("/")[2]
    assert (await perdure(house, address, "claim", id)).stdout == "It is yours.\n"
    assert (await house.owner.get(path)).json()["claimed_by"] == str(house.owner.id)
    assert (await perdure(house, address, "comment", id, "looks fine")).exit_code == 0
    assert (await perdure(house, address, "release", id)).exit_code == 0
    email = (await house.member.get("/v1/me")).json()["email"]
    handed = await perdure(house, address, "delegate", id, email, "--comment", "yours")
    assert handed.stdout == f"{email} is asked now.\n", handed.stderr
    assert (await house.owner.get(path)).json()["claimed_by"] == str(house.member.id)
    shown = (await perdure(house, address, "show", id)).stdout
    assert "looks fine" in shown
    assert f"to user:{email}" in shown or f"to {email}" in shown
    assert "No task fits." in (await perdure(house, address, "list", "--status", "decided")).stderr


async def test_nothing_that_people_wrote_commands_the_terminal(house: House, address: str) -> None:
    title = "Pay \x1b]0;owned\x07\x1b[2J\u202eAcme\x9b31m\r?"
    id = (await a_task(house, title=title)).rpartition("/")[2]
    assert (await perdure(house, address, "comment", id, "gr\x1b[31mün\nandré 👍")).exit_code == 0
    for words in (["list"], ["show", id], ["approve", id], ["approve", id]):
        told = await perdure(house, address, *words)
        assert not {"\x1b", "\x07", "\u202e", "\x9b", "\r"} & set(told.stdout + told.stderr), words
    shown = (await perdure(house, address, "show", id)).stdout
    assert "Pay ]0;owned[2JAcme31m?" in shown
    assert "gr[31mün" in shown
    assert "andré 👍" in shown


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_list_fits_its_window_and_cuts_no_id(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    id, words = "b80b4e3d-0467-4786-8fa0-66bea8aab621", "Release the payment to [bold]Northwind[/bold] Ltd?"
    console = Console(width=width, file=sys.stdout, highlight=False)
    output.listing(("id", "task", "due"), [(id, words, "2026-11-23 07:03:50")] * 2, to=console)
    told = capsys.readouterr().out
    assert told.count(id) == 2
    assert told.count("[bold]Northwind[/bold]") == 2, "what people wrote is no markup"
    if width >= 80:
        assert max(map(len, told.splitlines())) <= width

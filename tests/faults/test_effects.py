"""The judges of a campaign see what is wrong: effects that came twice, never, or where they do not belong."""

import base64
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from tests.faults import leaks
from tests.faults.client import Caller
from tests.faults.effects import mail_effects, partner_effects
from tests.faults.holding import HEARD, reports
from tests.faults.sent import House, Sent
from tests.faults.timeline import Blow, Timeline

HOUSE = House("acme", uuid4(), Caller(None), "canary-acme-0123456789", "secret-acme-0123456789")  # type: ignore[arg-type]


@pytest.fixture
def stack(tmp_path: Path) -> Any:
    for folder in ("mail/new", "temporal", "logs"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "ledger.jsonl").touch()
    files = {
        "echo_ledger": str(tmp_path / "ledger.jsonl"),
        "mail": str(tmp_path / "mail"),
        "temporal": str(tmp_path / "temporal" / "temporal.db"),
        "logs": str(tmp_path / "logs"),
    }
    return SimpleNamespace(files=files)


def arrived(stack: Any, n: str, step: str, key: str, sha256: str = "b") -> None:
    body = {"n": n, "step": step, "round": 1}
    line = json.dumps({"idempotency_key": key, "body_sha256": sha256, "body": body})
    with Path(stack.files["echo_ledger"]).open("a") as ledger:
        ledger.write(line + "\n")


def sent(kind: str) -> Sent:
    return Sent("p1-1", kind, HOUSE, "key")


def said(stack: Any, kind: str, status: str) -> list[str]:
    return [found.says for found in partner_effects(stack, [sent(kind)], {"p1-1": status})]


def test_a_repeat_with_its_key_is_one_effect(stack: Any) -> None:
    arrived(stack, "p1-1", "confirm", "a")
    arrived(stack, "p1-1", "confirm", "a")
    assert said(stack, "approval", "completed") == []


def test_two_keys_or_two_bodies_are_two_effects(stack: Any) -> None:
    arrived(stack, "p1-1", "confirm", "a")
    arrived(stack, "p1-1", "confirm", "other")
    assert said(stack, "approval", "completed") == ["confirm 1 arrived with 2 keys, 1 bodies"]
    arrived(stack, "p1-1", "confirm", "a", "other")
    assert said(stack, "approval", "completed") == ["confirm 1 arrived with 2 keys, 2 bodies"]


def test_a_success_that_never_arrived_is_told(stack: Any) -> None:
    assert said(stack, "approval", "completed") == ["confirm 1 succeeded and never arrived"]
    assert said(stack, "approval", "cancelled") == []


def test_an_irreversible_call_comes_once_even_with_its_key(stack: Any) -> None:
    arrived(stack, "p1-1", "pay", "a")
    assert said(stack, "once", "failed") == []
    arrived(stack, "p1-1", "pay", "a")
    assert said(stack, "once", "failed") == ["an irreversible call arrived 2 times"]


def test_messages_are_counted_by_their_id(stack: Any) -> None:
    folder, statuses = Path(stack.files["mail"]) / "new", {"p1-1": "completed"}
    assert [found.says for found in mail_effects(stack, [sent("mixed")], statuses)] == [
        "wrote a message that never arrived"
    ]
    for number, id in enumerate(["<a@x>", "<a@x>"]):
        (folder / str(number)).write_text(f"To: p1-1@example.com\nMessage-ID: {id}\n\nHello")
    assert mail_effects(stack, [sent("mixed")], statuses) == []
    (folder / "2").write_text("To: p1-1@example.com\nMessage-ID: <b@x>\n\nHello")
    assert [found.says for found in mail_effects(stack, [sent("mixed")], statuses)] == [
        "wrote 2 different messages"
    ]


def test_what_a_task_mails_is_told_apart_by_its_title(stack: Any) -> None:
    folder, statuses = Path(stack.files["mail"]) / "new", {"p1-1": "completed"}
    assert [found.says for found in mail_effects(stack, [sent("escalated")], statuses)] == [
        "wrote a message that never arrived"
    ]
    for number, (n, id) in enumerate([("p1-1", "<a@x>"), ("p1-1", "<a@x>"), ("p1-2", "<b@x>")]):
        subject = f"Subject: Now with you, too: Look at {n}"
        (folder / str(number)).write_text(f"To: acme@example.com\n{subject}\nMessage-ID: {id}\n\nHello")
    assert mail_effects(stack, [sent("escalated")], statuses) == []
    (folder / "3").write_text(
        "To: acme@example.com\nSubject: Now with you, too: Look at p1-1\nMessage-ID: <c@x>\n\n"
    )
    assert [found.says for found in mail_effects(stack, [sent("escalated")], statuses)] == [
        "wrote 2 different messages"
    ]


@pytest.mark.parametrize(
    ("lines", "holds"), [(["done"], True), ([], False), (["done", "done"], False), (["refused"], False)]
)
async def test_of_many_each_has_one_line(lines: list[str], holds: bool) -> None:
    async def fetch(_: str) -> list[dict[str, str]]:
        return [{"execution_id": "x", "outcome": outcome} for outcome in lines]

    one = Sent("p1-1", "bulked", HOUSE, "key", ids=["x"])
    found = await reports(SimpleNamespace(fetch=fetch), [one])  # type: ignore[arg-type]  # a connection
    assert (found == []) is holds


def test_an_answer_in_time_and_a_late_one_go_on_differently() -> None:
    assert HEARD["overdue"]("approved") == {"outcome": "approved", "overdue": None}
    assert HEARD["overdue"]("late") == {"outcome": "rejected", "overdue": True}


@pytest.mark.parametrize("canary", [HOUSE.canary, HOUSE.secret])
@pytest.mark.parametrize("shift", range(4))
def test_canaries_are_found_in_files(stack: Any, canary: str, shift: int) -> None:
    assert leaks.files(stack, [HOUSE]) == []
    payload = f"{'x' * shift}{canary}{'y' * shift}".encode()
    log = Path(stack.files["logs"]) / "node.log"
    log.write_bytes(b"before " + base64.b64encode(payload) + b" after")
    assert [found.rule for found in leaks.files(stack, [HOUSE])] == [6]
    log.write_bytes(payload)
    assert [found.rule for found in leaks.files(stack, [HOUSE])] == [6]


def test_recovery_counts_from_the_end_of_the_cause() -> None:
    blow = Blow("freeze", "SIGSTOP", began=1.0)
    assert blow.recovery is None
    blow.cleared, blow.served = 6.0, 8.5
    assert blow.recovery == 2.5


def test_the_timeline_near_an_execution_is_quoted() -> None:
    timeline = Timeline(
        started=(1_000_000.0, 0.0), entries=[(0.0, "early"), (100.0, "near"), (200.0, "late")]
    )
    (line,) = timeline.between(1_000_097.0, 1_000_110.0)
    assert line.endswith("near")

"""Trying again through the real worker: each attempt has effects of its own, the pause between is a wait."""

from collections.abc import AsyncIterator

import pytest
from temporalio.worker import WorkflowRunner

from tests.workflows.engine import Engine, settings_for, working
from tests.workflows.mail import Mailbox, mailbox, send
from tests.workflows.operators import WITHOUT_SIGNALS
from tests.workflows.test_operators import agree, operator
from tests.workflows.test_resets import disturbed, follows
from workers.settings import Settings


@pytest.fixture
async def mails() -> AsyncIterator[Mailbox]:
    async with mailbox() as box:
        yield box


@pytest.fixture
def engine_settings(database_url: str, temporal_server: str, mails: Mailbox) -> Settings:
    return settings_for(
        database_url, temporal_server, smtp_url=f"smtp://127.0.0.1:{mails.port}?starttls=false"
    )


def trying(seconds: float, count: int = 3) -> dict[str, object]:
    retry = {"delay": {"milliseconds": int(seconds * 1000)}, "limit": {"attempt": {"count": count}}}
    return {"try": [{"mail": send("shy")}], "catch": {"retry": retry}}


async def test_each_attempt_is_an_occurrence_of_its_own(
    idle_engine: Engine, runner: WorkflowRunner, mails: Mailbox
) -> None:
    engine = idle_engine
    async with working(engine.parts, engine.client, runner, cached_workflows=0):
        row = await engine.run([{"insist": trying(0.3)}])
        await engine.described(str(row["id"]))
    assert row["status"] == "completed", dict(row)
    assert (mails.refused, mails.subjects) == (2, ["shy"])
    log = [(step["occurrence"], step["status"]) for step in await engine.steps(str(row["id"]))]
    assert log == [
        ("/do/0/insist#1", "completed"),
        *(
            (f"/do/0/insist/try/0/mail#{n}", status)
            for n, status in ((1, "failed"), (2, "failed"), (3, "completed"))
        ),
    ]
    await agree(engine, str(row["id"]))


async def test_between_two_attempts_the_row_waits_for_the_next_even_after_a_reset(
    engine: Engine, mails: Mailbox
) -> None:
    """A run that is reset to there has begun to wait in its history, and so says nothing when it goes on waiting."""
    id = str((await engine.start(await engine.publish([{"insist": trying(600)}])))["id"])
    row = await engine.waiting(id)
    assert row["waiting_on"]["kind"] == "timer"
    assert (row["waiting_on"]["step"], row["waiting_on"]["occurrence"]) == ("insist", "/do/0/insist#1!retry1")
    silent = await disturbed(engine, id)
    at = await operator(engine, id)
    await at.terminate()
    await engine.ended(id)
    row = await follows(engine, id, await at.reset(silent, exclude=WITHOUT_SIGNALS))
    assert (row["status"], row["waiting_on"]["step"], row["waiting_on"]["kind"]) == (
        "waiting",
        "insist",
        "timer",
    )
    assert [(step["name"], step["status"]) for step in await engine.steps(id)] == [
        ("insist", "waiting"),
        ("mail", "failed"),
    ]
    await engine.post(f"/v1/executions/{id}/cancel", {})
    assert (await engine.ended(id))["status"] == "cancelled"
    await agree(engine, id)

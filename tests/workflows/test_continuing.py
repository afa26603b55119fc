"""A loop without waits continues as new between its steps: Temporal would end it at 50 MB or 51 200 events."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiosmtpd.smtp import SMTP

from tests.workflows.engine import Engine, settings_for
from tests.workflows.operators import Operator
from workers.settings import Settings


class Kept:
    """A mail server that remembers the Message-IDs it was given."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:  # noqa: N802
        content = envelope.content.decode()  # type: ignore[attr-defined]
        self.ids += [line for line in content.splitlines() if line.lower().startswith("message-id")]
        return "250 kept"


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
async def smtp(kept: Kept) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(kept), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
def engine_settings(database_url: str, temporal_server: str, smtp: int) -> Settings:
    return settings_for(database_url, temporal_server, smtp_url=f"smtp://127.0.0.1:{smtp}?starttls=false")


async def test_a_long_loop_of_actions_continues_as_new_between_them(engine: Engine, kept: Kept) -> None:
    """The tests' server suggests a new run at 40 events; each mail costs about six."""
    send = {
        "call": "email.send",
        "with": {"to": "c${ $index }@example.com", "subject": "Number ${ $index }", "text": "Hello"},
        "export": {"as": "$context + {last: $index}"},
    }
    row = await engine.run([{"often": {"for": {"in": "[range(16)]"}, "do": [{"send": send}]}}])
    assert row["status"] == "completed", dict(row)
    described = await engine.described(str(row["id"]))
    first = described.raw_description.workflow_execution_info.first_run_id
    assert first != described.run_id, "it never continued as new"
    steps = await engine.steps(str(row["id"]))
    assert [step["visit"] for step in steps if step["name"] == "send"] == list(range(1, 17))
    assert {step["status"] for step in steps} == {"completed"}
    assert len(kept.ids) == len(set(kept.ids)) == 16


async def test_a_decision_in_the_moment_of_a_new_run_is_not_lost(engine: Engine) -> None:
    """Each of these is decided after another number of events; for one it is the decision that asks for a new run."""
    workflow_id = await engine.publish([{"ask": {"call": "approve", "with": {"title": "Go on?"}}}])

    async def decided_after(signals: int) -> str:
        id = str((await engine.start(workflow_id))["id"])
        row = await engine.waiting(id)
        at = Operator(engine.client, row["temporal_workflow_id"])
        for number in range(signals):
            await at.idle()
            await at.handle.signal("event", {"id": str(number), "type": "noise", "source": "tests"})
        await at.idle()
        await engine.post(f"/v1/tasks/{row['waiting_on']['task_id']}/decision", {"outcome": "approved"})
        return str((await engine.ended(id))["status"])

    assert set(await asyncio.gather(*map(decided_after, range(4, 12)))) == {"completed"}

"""What Temporal holds is sealed, and what somebody else puts there is refused without harm to anybody."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import RawValue
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import WorkflowSerializationContext
from temporalio.exceptions import ApplicationError

from tests.workflows.engine import Engine, settings_for, working
from workers.settings import Settings
from workers.temporal.sealing import ENCODING
from workflows.contracts import executions as contract

ASK: list[dict[str, Any]] = [{"ask": {"call": "approve", "with": {"title": "Go on?"}}}]
SAY = [{"say": {"set": {"said": "${ .who }"}}}]
MAIL = {"call": "email.send", "with": {"to": "ada@example.com", "subject": "Hi", "text": "Hi"}}


@pytest.fixture
async def outsider(temporal_server: str) -> Client:
    """Somebody at Temporal's own tools: speaks to the server, holds no keys."""
    return await Client.connect(temporal_server, data_converter=pydantic_data_converter)


async def _temporal_id(engine: Engine, id: str) -> str:
    return str((await engine.row(id))["temporal_workflow_id"])


async def _decide(engine: Engine, id: str) -> None:
    row = await engine.waiting(id)
    await engine.post(f"/v1/tasks/{row['waiting_on']['task_id']}/decision", {"outcome": "approved"})


def _payloads(message: Any) -> list[Payload]:
    """Every payload anywhere in a protobuf message, headers and search attributes left out."""
    if isinstance(message, Payload):
        return [message]
    found = []
    for field, value in message.ListFields():
        if field.name in ("header", "search_attributes", "indexed_fields"):
            continue
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            values = (
                [value[key] for key in value]
                if field.message_type.fields_by_name["value"].message_type
                else []
            )
        else:
            values = value if field.is_repeated else [value]
        for one in values:
            found += _payloads(one)
    return found


async def test_every_payload_of_a_history_is_sealed(engine: Engine, outsider: Client) -> None:
    failing = {"boom": {"set": {"x": "${ .who | tonumber }"}}}
    done = await engine.run([*SAY, {"later": {"wait": {"milliseconds": 20}}}], {"who": "canary-1"})
    failed = await engine.run([failing], {"who": "canary-2"})
    unsent = await engine.run(
        [{"send": {"call": "email.send", "with": MAIL["with"] | {"to": "canary@example.com"}}}]
    )
    assert (done["status"], failed["status"], unsent["status"]) == ("completed", "failed", "failed")
    for row in (done, failed, unsent):
        await engine.described(str(row["id"]))
        history = await outsider.get_workflow_handle(row["temporal_workflow_id"]).fetch_history()
        payloads = [payload for event in history.events for payload in _payloads(event)]
        # Temporal's core adds markers of its own: which local activity this was, and when it ended.
        ours = [
            p for p in payloads if p.metadata["encoding"] != b"json/plain" or b"activity_type" not in p.data
        ]
        assert ours
        assert {p.metadata["encoding"] for p in ours} == {ENCODING}
        assert "canary" not in str(history.to_json_dict())


async def test_a_signal_in_plaintext_is_dropped_and_the_execution_goes_on(
    engine: Engine, outsider: Client
) -> None:
    started = await engine.start(await engine.publish(ASK))
    row = await engine.waiting(started["id"])
    forged = {"occurrence": row["waiting_on"]["occurrence"], "decision": {"approved": False}}
    handle = outsider.get_workflow_handle(row["temporal_workflow_id"])
    await handle.signal(contract.DECIDE, forged)
    await handle.signal(contract.DECIDE, "nonsense")
    await handle.signal(contract.DECIDE)
    await handle.signal("no such signal", forged)
    await _decide(engine, started["id"])
    ended = await engine.ended(started["id"])
    assert ended["status"] == "completed", dict(ended)
    assert ended["output"]["approved"] is True
    assert (await engine.described(started["id"])).status is WorkflowExecutionStatus.COMPLETED
    assert "workflow_task_failed" not in await engine.events(started["id"])


async def test_our_own_signal_in_a_wrong_form_is_dropped(engine: Engine) -> None:
    started = await engine.start(await engine.publish(ASK))
    row = await engine.waiting(started["id"])
    handle = engine.client.get_workflow_handle(row["temporal_workflow_id"])
    for misfit in ({}, [1], "text", None, {"occurrence": ["unhashable"], "decision": 1}):
        await handle.signal(contract.DECIDE, misfit)
    await _decide(engine, started["id"])
    assert (await engine.ended(started["id"]))["status"] == "completed"
    assert "workflow_task_failed" not in await engine.events(started["id"])


async def test_a_signal_sealed_for_another_execution_is_dropped(engine: Engine) -> None:
    workflow_id = await engine.publish(ASK)
    one, other = await engine.start(workflow_id), await engine.start(workflow_id)
    row = await engine.waiting(one["id"])
    await engine.waiting(other["id"])
    forged = {"occurrence": row["waiting_on"]["occurrence"], "decision": {"approved": False}}
    context = WorkflowSerializationContext("default", await _temporal_id(engine, other["id"]))
    [sealed] = await engine.client.data_converter.with_context(context).encode([forged])
    plain = await Client.connect(engine.client.service_client.config.target_host)
    await plain.get_workflow_handle(row["temporal_workflow_id"]).signal(contract.DECIDE, RawValue(sealed))
    await _decide(engine, one["id"])
    ended = await engine.ended(one["id"])
    assert ended["output"]["approved"] is True
    await engine.http.post(f"/v1/executions/{other['id']}/cancel", json={})
    await engine.ended(other["id"])


@pytest.mark.parametrize("owned", [True, False], ids=["an organization's id", "somebody's id"])
async def test_an_execution_started_in_plaintext_fails_at_once(
    engine: Engine, outsider: Client, owned: bool
) -> None:
    id = f"{engine.organization_id}/workflow/{uuid4()}" if owned else f"mine-{uuid4()}"
    handle = await outsider.start_workflow(
        contract.WORKFLOW, {"execution_id": str(uuid4())}, id=id, task_queue=contract.WORKFLOW_QUEUE
    )
    with pytest.raises(WorkflowFailureError):
        async with asyncio.timeout(10):
            await handle.result()
    history = await handle.fetch_history()
    assert not [e for e in history.events if e.HasField("workflow_task_failed_event_attributes")]


@pytest.fixture
async def silent_smtp() -> AsyncIterator[int]:
    """A mail server that accepts connections and says nothing: whoever sends mail is under way for long."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


class TestWithSlowMail:
    @pytest.fixture
    def engine_settings(self, database_url: str, temporal_server: str, silent_smtp: int) -> Settings:
        return settings_for(database_url, temporal_server, smtp_url=f"smtp://127.0.0.1:{silent_smtp}")

    @pytest.mark.parametrize("how", ["complete", "fail"])
    async def test_an_activity_ended_in_plaintext_fails_its_step(
        self, engine: Engine, outsider: Client, how: str
    ) -> None:
        started = await engine.start(await engine.publish([{"send": MAIL}]))
        row = await engine.until(started["id"], lambda row: row["status"] == "running")
        temporal_id = row["temporal_workflow_id"]
        for _ in range(500):
            description = await outsider.get_workflow_handle(temporal_id).describe()
            pending = description.raw_description.pending_activities
            if pending:
                break
            await asyncio.sleep(0.02)
        activity = outsider.get_async_activity_handle(
            workflow_id=temporal_id, run_id=None, activity_id=pending[0].activity_id
        )
        if how == "complete":
            await activity.complete({"output": {"forged": True}})
        else:
            await activity.fail(ApplicationError("by hand", {"type": "x"}, non_retryable=True))
        ended = await engine.ended(started["id"])
        assert ended["status"] == "failed", dict(ended)
        assert ended["error"]["title"] == {"complete": "Value refused", "fail": "Action did not answer"}[how]
        assert (await engine.described(started["id"])).status is WorkflowExecutionStatus.FAILED
        assert "workflow_task_failed" not in await engine.events(started["id"])


async def test_keys_that_cannot_be_read_for_a_while_only_delay(
    idle_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = idle_engine
    started = await engine.start(await engine.publish(SAY), {"who": "Ada"})
    opened = engine.parts.keys.open
    tries = 0

    async def away(*arguments: Any) -> bytes:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError("the database is away")
        return await opened(*arguments)

    monkeypatch.setattr(engine.parts.keys, "open", away)
    async with working(engine.parts, engine.client):
        ended = await engine.ended(started["id"], 60)
    assert ended["status"] == "completed"
    assert tries > 2

"""What operators see of an execution: log lines, numbers, and names in the Temporal UI."""

import asyncio
import io
import json
import logging
from typing import Any

import httpx2
import pytest
from temporalio import workflow
from temporalio.api.sdk.v1 import WorkflowMetadata

from activities.segments import SegmentRun
from tests.workflows.engine import Engine
from tests.workflows.test_executions import TEMPLATES
from workers import logs
from workers.metrics import Metrics, OperationsServer, create_operations_app
from workflows.walk import Walk

CANARY = "canary-77b2"
ASK: dict[str, Any] = {"Wait for approval": {"call": "approve", "with": {"title": "Go on?"}}}
SHOUT: dict[str, Any] = {
    "shout": {"call": "data.template", "with": {"text": "{{ x }}", "values": {"x": CANARY}}}
}


async def test_lines_of_activities_and_workflows_say_whose_they_are(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, take = SegmentRun._call, Walk.tell

    async def talkative_call(self: Any, command: Any) -> Any:
        logging.getLogger("perdure.test").warning("in an activity")
        try:
            raise ValueError(f"about {command.arguments}")
        except ValueError:
            logging.getLogger("perdure.test").exception("it failed")
        return await call(self, command)

    def talkative_take(self: Any, landed: Any) -> Any:
        workflow.logger.warning("in a workflow")
        return take(self, landed)

    monkeypatch.setattr(SegmentRun, "_call", talkative_call)
    monkeypatch.setattr(Walk, "tell", talkative_take)
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = list(root.handlers), root.level
    logs.configure("info", "json", stream)
    try:
        row = await engine.run([SHOUT, *TEMPLATES])
        # The row is closed from inside the last segment: only then does the workflow hear of it, and speak.
        await engine.client.get_workflow_handle(row["temporal_workflow_id"]).result()
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    assert row["status"] == "completed"
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    about = {"organization": str(engine.organization_id), "execution": str(row["id"])}
    [first, *_] = [line for line in lines if line["event"] == "in an activity"]
    assert first["step"] == "/do/0/shout#1"
    assert about.items() <= first.items()
    told = [line for line in lines if line["event"] == "in a workflow"]
    assert told
    assert about.items() <= told[0].items()
    failed = [line for line in lines if line["event"] == "it failed"]
    assert failed[0]["exception"][0]["type"] == "builtins.ValueError"
    assert CANARY not in stream.getvalue()


async def test_an_operator_reads_the_steps_of_a_waiting_execution(engine: Engine) -> None:
    do = [*TEMPLATES[:1], ASK, {"after | all": {"set": {"ok": True}}}]
    id = (await engine.start(await engine.publish(do)))["id"]
    row = await engine.waiting(id)
    handle = engine.client.get_workflow_handle(row["temporal_workflow_id"])
    metadata: WorkflowMetadata = await handle.query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    assert metadata.current_details.splitlines() == [
        "**Waiting: Wait for approval**",
        "",
        "| step | kind | status |",
        "|---|---|---|",
        "| line 1 | call | done |",
        "| Wait for approval | call | waiting |",
        "| after \\| all | set |  |",
    ]
    history = await handle.fetch_history()
    markers = [event for event in history.events if event.HasField("marker_recorded_event_attributes")]
    wait = markers[-1].marker_recorded_event_attributes.details["data"].payloads[0].data
    assert b"Wait for approval" in wait, "the activity id names the step without any summary"


async def test_numbers_of_executions_and_actions(engine: Engine) -> None:
    await engine.run(TEMPLATES)
    text = (await Metrics(engine.parts.database, None).text()).decode()
    counted = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(counted['perdure_executions_finished_total{status="completed"}']) >= 1
    assert float(counted['perdure_executions_started_total{trigger="manual"}']) >= 1
    assert (
        float(counted['perdure_outbox_deliveries_total{by="request",kind="start",outcome="delivered"}']) >= 1
    )
    action = 'perdure_action_seconds_count{action="data.template",outcome="completed"}'
    assert float(counted[action]) >= len(TEMPLATES)
    assert str(engine.organization_id) not in text


async def test_operators_have_a_port_of_their_own(engine: Engine) -> None:
    async def fine() -> None:
        return

    metrics = Metrics(engine.parts.database, None)
    server = OperationsServer(create_operations_app(metrics, {"part": fine}), "127.0.0.1", 0)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        assert (await http.get("/readyz")).json() == {"status": "ok", "parts": {"part": "ok"}}
        assert "perdure_outbox_pending" in (await http.get("/metrics")).text
        assert (await http.get("/v1/me")).status_code == 404
    server.should_exit = True
    await serving

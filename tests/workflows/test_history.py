"""What an execution leaves in Temporal's history: as little as promised, and replayable."""

from typing import Any
from uuid import UUID, uuid4

from temporalio.worker import Replayer, WorkflowRunner

from domain.definitions.faults import Fault
from domain.ids import WorkflowId
from domain.segments import ExecutionStart
from tests.workflows.engine import Engine, working
from tests.workflows.test_executions import TEMPLATES
from workflows.contracts import executions as contract
from workflows.executions import ExecutionWorkflow
from workflows.mirror import MirrorInterceptor

EVERYTHING: list[dict[str, Any]] = [
    {"take": {"set": {"names": "${ .names }"}}},
    {
        "each": {
            "for": {"each": "name", "in": ".names"},
            "do": [
                {
                    "greet": {
                        "call": "data.template",
                        "with": {"text": "Hi {{ n }}", "values": {"n": "${ $name }"}},
                        "export": {"as": "$context + {said: (($context.said // []) + [.text])}"},
                    }
                }
            ],
        }
    },
    {"pause": {"wait": {"milliseconds": 50}}},
    {"make": {"call": "client.create", "with": {"name": "${ $context.said[0] }"}}},
    {"ask": {"call": "approve", "with": {"title": "Good?"}, "output": {"as": ".approved"}}},
    {"which": {"switch": [{"yes": {"when": ".", "then": "done"}}, {"no": {"then": "refused"}}]}},
    {"refused": {"set": {"refused": True}, "then": "end"}},
    {"done": {"set": {"said": "${ $context.said }"}}},
]


async def _decided(engine: Engine, id: str, title: str) -> None:
    row = await engine.until(id, lambda row: (row["waiting_on"] or {}).get("title") == title)
    await engine.post(f"/v1/tasks/{row['waiting_on']['task_id']}/decision", {"outcome": "approved"})


async def test_replayed_at_every_task_it_decides_the_same(
    idle_engine: Engine, runner: WorkflowRunner
) -> None:
    """With no cache every workflow task replays the history from its beginning."""
    engine = idle_engine
    async with working(engine.parts, engine.client, runner, cached_workflows=0):
        started = await engine.start(await engine.publish(EVERYTHING), {"names": ["Ada", "Bo"]})
        await _decided(engine, started["id"], "Good?")
        row = await engine.ended(started["id"])
    assert row["status"] == "completed", dict(row)
    assert row["output"] == {"said": ["Hi Ada", "Hi Bo"]}
    handle = engine.client.get_workflow_handle(row["temporal_workflow_id"])
    replayer = Replayer(
        workflows=[ExecutionWorkflow],
        interceptors=[MirrorInterceptor()],
        data_converter=engine.client.data_converter,
        workflow_failure_exception_types=[Fault],
    )
    await replayer.replay_workflow(await handle.fetch_history())


async def test_the_mirror_costs_at_most_one_event_and_one_more_for_each_wait(engine: Engine) -> None:
    pause = {"pause": {"wait": {"milliseconds": 400}}}
    again = {"pause again": {"wait": {"milliseconds": 400}}}
    # The segment that reaches the end commits it as well.
    assert await _events(engine, TEMPLATES, mirror=True) == await _events(engine, TEMPLATES, mirror=False)
    plain: list[dict[str, Any]] = [{"take": {"set": {"n": 1}}}]
    assert await _events(engine, plain, mirror=True) - await _events(engine, plain, mirror=False) == 1
    with_waits = [pause, *TEMPLATES, again]
    assert (
        await _events(engine, with_waits, mirror=True) - await _events(engine, with_waits, mirror=False) == 3
    )


async def _events(engine: Engine, do: list[dict[str, Any]], *, mirror: bool) -> int:
    """Length of the history of one execution, with what belongs to Temporal's own bookkeeping left out."""
    workflow_id = await engine.publish(do)
    versions = (await engine.get(f"/v1/workflows/{workflow_id}/versions"))["items"]
    if mirror:
        id = (await engine.start(workflow_id))["id"]
        assert (await engine.ended(id))["status"] == "completed"
        await engine.described(id)
        temporal_id = (await engine.row(id))["temporal_workflow_id"]
    else:
        version = await engine.parts.dispatcher._versions.get(engine.organization_id, UUID(versions[0]["id"]))
        temporal_id = str(WorkflowId(engine.organization_id, "workflow", uuid4()))
        start = ExecutionStart(temporal_id[-36:], {}, {"type": "manual"}, version.pinned, mirror=False)
        await engine.client.execute_workflow(
            contract.WORKFLOW, start, id=temporal_id, task_queue=contract.WORKFLOW_QUEUE
        )
    history = await engine.client.get_workflow_handle(temporal_id).fetch_history()
    return len(history.events)


async def test_a_long_execution_continues_as_new(engine: Engine) -> None:
    """The tests' server suggests it at 40 events; occurrences, records and the outcome know nothing of it."""
    ask = {"ask": {"call": "approve", "with": {"title": "Number ${ $item }?"}}}
    started = await engine.start(
        await engine.publish(
            [
                {"often": {"for": {"in": "[range(12)]"}, "do": [ask]}},
                {"done": {"set": {"ok": "${ .approved }"}}},
            ]
        )
    )
    for number in range(12):
        await _decided(engine, started["id"], f"Number {number}?")
    row = await engine.ended(started["id"])
    assert row["status"] == "completed", dict(row)
    assert row["output"] == {"ok": True}
    described = await engine.described(started["id"])
    assert described.run_id == row["temporal_run_id"]
    first = described.raw_description.workflow_execution_info.first_run_id
    assert first != described.run_id, "it never continued as new"
    asked = [step for step in await engine.steps(started["id"]) if step["name"] == "ask"]
    assert [step["visit"] for step in asked] == list(range(1, 13))
    assert {step["status"] for step in asked} == {"completed"}

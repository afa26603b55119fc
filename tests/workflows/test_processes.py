"""The product's own processes through the real worker: run like everybody's, and reachable for nobody else."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import RowMapping, text

import workers.wiring
from activities.actions.context import ActionContext
from activities.actions.declaration import Arguments, Result, action
from activities.actions.registry import Registry, built_in
from db.definitions import Workflows
from db.processes import Begun, Processes
from db.session import Access, Role
from domain.actions import Effect, Lane
from domain.errors import Invalid, NotFound
from domain.processes import NAMESPACE, Process
from tests.workflows.engine import HEADER, Engine


class Count(Arguments):
    number: int


class Counted(Result):
    number: int
    organization_id: UUID


@action(
    "tests.count",
    version="1.0.0",
    title="Count",
    effect=Effect.IDEMPOTENT,
    lane=Lane.SEGMENT,
    timeout=timedelta(seconds=5),
    is_internal=True,
)
async def count(context: ActionContext, arguments: Count) -> Counted:
    """One more, in the transaction of the segment."""
    await context.transaction.execute(text("SELECT 1"))
    return Counted(number=arguments.number + 1, organization_id=context.organization_id)


def document(name: str, do: list[dict[str, Any]], version: str = "1.0.0") -> dict[str, Any]:
    return {"document": {"dsl": "1.0.3", "namespace": NAMESPACE, "name": name, "version": version}, "do": do}


COUNTING = Process(
    name="tests-count",
    kind="tests_count",
    title="Counting",
    document=document(
        "tests-count",
        [
            {
                "each": {
                    "for": {"each": "n", "in": "${ .numbers }"},
                    "do": [
                        {"one": {"call": "tests.count", "with": {"number": "${ $n }"}}},
                        {"rest": {"wait": {"milliseconds": 1}}},
                    ],
                }
            },
            {"last": {"call": "tests.count", "with": {"number": 41}}},
        ],
    ),
)


@pytest.fixture
def engine_settings(engine_settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    registry = Registry([*built_in()._actions.values(), count])
    monkeypatch.setattr(workers.wiring, "built_in", lambda: registry)
    return engine_settings


async def begin(engine: Engine, process: Process = COUNTING, **given: Any) -> Begun:
    processes: Processes = given.pop("processes", engine.parts.api.processes)
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        return await processes.start(
            tx, process, engine.organization_id, **{"input": {"numbers": [1, 2]}, "started_by": None, **given}
        )


async def run(engine: Engine, **given: Any) -> RowMapping:
    begun = await begin(engine, **given)
    assert begun.entry is not None
    await engine.parts.dispatcher.dispatch(begun.entry)
    return await engine.ended(str(begun.execution_id))


async def test_a_process_runs_to_its_end_and_is_mirrored(engine: Engine) -> None:
    row = await run(engine)
    assert row["status"] == "completed", dict(row)
    assert row["output"] == {"number": 42, "organization_id": str(engine.organization_id)}
    assert row["progress"] == 100
    assert row["kind"] == "tests_count"
    assert f"/{COUNTING.kind}/" in row["temporal_workflow_id"]
    names = [step["name"] for step in await engine.steps(str(row["id"]))]
    assert names == ["each", "one", "rest", "one", "rest", "last"]


async def test_progress_moves_with_the_rounds_of_a_loop(engine: Engine) -> None:
    slow = document(
        "tests-slow",
        [
            {
                "each": {
                    "for": {"in": "[range(4)]"},
                    "do": [
                        {"half": {"if": "${ $index == 2 }", "wait": {"minutes": 1}}},
                        {"one": {"call": "tests.count", "with": {"number": 1}}},
                    ],
                }
            }
        ],
    )
    begun = await begin(engine, Process("tests-slow", "tests_slow", "Slow", slow))
    assert begun.entry is not None
    await engine.parts.dispatcher.dispatch(begun.entry)
    row = await engine.waiting(str(begun.execution_id))
    assert row["progress"] == 50
    answer = await engine.http.post(f"/v1/executions/{begun.execution_id}/cancel", json={})
    assert answer.status_code == 202
    assert (await engine.ended(str(begun.execution_id)))["status"] == "cancelled"


async def test_a_process_is_no_workflow_of_the_organization(engine: Engine) -> None:
    row = await run(engine)
    listed = await engine.get("/v1/workflows")
    assert listed["items"] == []
    id = row["workflow_id"]
    for method, path, body in (
        ("GET", f"/v1/workflows/{id}", None),
        ("PATCH", f"/v1/workflows/{id}", {"name": "Mine"}),
        ("GET", f"/v1/workflows/{id}/versions", None),
        ("GET", f"/v1/workflows/{id}/versions/1", None),
        ("GET", f"/v1/workflows/{id}/graph", None),
        ("POST", f"/v1/workflows/{id}/publish", {}),
        ("POST", f"/v1/workflows/{id}/pause", {}),
        ("POST", f"/v1/workflows/{id}/archive", {}),
        ("POST", f"/v1/workflows/{id}/executions", {"input": {}}),
        ("GET", f"/v1/workflows/{id}/triggers", None),
    ):
        answer = await engine.http.request(method, path, json=body, headers={"If-Match": '"1"'})
        assert answer.status_code == 404, (method, path, answer.text)
    # Its execution is there for everybody who may read executions.
    shown = await engine.get(f"/v1/executions/{row['id']}")
    assert shown["status"] == "completed"


async def test_no_definition_of_a_tenant_calls_what_is_internal(engine: Engine) -> None:
    step = {"one": {"call": "tests.count", "with": {"number": 1}}}
    refused = await engine.http.post(
        "/v1/workflows", json={"name": "mine", "definition": {"document": HEADER, "do": [step]}}
    )
    if refused.status_code == 201:  # a draft may be unfinished; publishing is where it is judged
        id = refused.json()["id"]
        refused = await engine.http.post(f"/v1/workflows/{id}/publish", json={})
    assert refused.status_code == 422, refused.text
    assert "tests.count" in refused.text
    catalogue = await engine.get("/v1/actions")
    assert "tests.count" not in str(catalogue)


@pytest.mark.parametrize("waits", [True, False])
async def test_no_workflow_runs_a_process(engine: Engine, waits: bool) -> None:
    await run(engine)
    call = {"workflow": {"namespace": NAMESPACE, "name": "tests-count", "version": "latest"}, "await": waits}
    row = await engine.run([{"sneak": {"run": call}}])
    assert row["status"] == "failed"
    assert row["error"]["status"] == 404, row["error"]


async def test_a_trigger_key_starts_a_process_once(engine: Engine) -> None:
    first = await begin(engine, trigger_key="the/same")
    again = await begin(engine, trigger_key="the/same")
    assert first.entry is not None
    assert again == Begun(first.execution_id, None)


async def test_two_releases_share_the_row_and_each_runs_its_own_version(engine: Engine) -> None:
    """While nodes of two releases run side by side, neither changes what the other's executions do."""
    newer = replace(
        COUNTING,
        document=document("tests-count", [{"only": {"set": {"release": 2}}}], version="2.0.0"),
    )
    processes = Processes(built_in().every_spec())
    rows = [await run(engine), await run(engine, process=newer, processes=processes), await run(engine)]
    assert [row["output"] for row in rows][1] == {"release": 2}
    assert rows[0]["output"] == rows[2]["output"]
    assert len({row["workflow_id"] for row in rows}) == 1
    assert rows[0]["workflow_version_id"] == rows[2]["workflow_version_id"] != rows[1]["workflow_version_id"]
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        numbers = await tx.scalars(
            text("SELECT number FROM workflow_versions WHERE workflow_id = :id ORDER BY number"),
            {"id": rows[0]["workflow_id"]},
        )
        assert numbers.all() == [1, 2]
        with pytest.raises(NotFound):
            await Workflows(tx).get(rows[0]["workflow_id"])


async def test_a_process_that_no_release_should_ship_is_refused_before_anything_is_written(
    engine: Engine,
) -> None:
    broken = Process(
        "tests-broken", "tests_broken", "Broken", document("tests-broken", [{"a": {"call": "no.such"}}])
    )
    with pytest.raises(Invalid):
        await begin(engine, broken)
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        assert await tx.scalar(text("SELECT count(*) FROM workflows WHERE process IS NOT NULL")) == 0


async def test_a_process_needs_an_organization_that_is_there(engine: Engine) -> None:
    processes = engine.parts.api.processes
    nowhere = uuid4()
    with pytest.raises(Exception, match="foreign key"):
        async with engine.parts.database.transaction(Access(Role.WORKER, nowhere)) as tx:
            await processes.start(tx, COUNTING, nowhere, input={"numbers": []}, started_by=None)

"""Supervision under strain: what stalls, what is away, what it costs, and what administrators are told."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from temporalio import workflow

from db.session import Access, Role
from tests.workflows.engine import Engine
from tests.workflows.test_executions import TEMPLATES
from tests.workflows.test_operators import STATED, met, operator, reconciliations
from tests.workflows.test_silence import silence  # noqa: F401  a fixture
from workers.reconciler import Pace, Reconciler
from workers.temporal.connection import TemporalUnavailable
from workflows.contracts import executions as contract
from workflows.executions import ExecutionWorkflow

CALLS = ("list", "describe", "history", "query")


def calls() -> dict[str, float]:
    name = "perdure_supervision_temporal_calls_total"
    return {call: REGISTRY.get_sample_value(name, {"call": call}) or 0 for call in CALLS}


def spent(before: dict[str, float]) -> dict[str, float]:
    return {call: number - before[call] for call, number in calls().items()}


def reconciler(engine: Engine, **pace: Any) -> Reconciler:
    own = engine.parts.reconciler
    return Reconciler(engine.parts.database, own._accounts, own._mender, Pace(**pace))


@pytest.mark.timeout(180)
async def test_what_stalls_is_shown_and_recovers(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code cannot carry it on: Temporal tries again and again, and marks it."""
    id = await met(engine, "waiting for a person")
    definition = workflow._Definition.from_class(ExecutionWorkflow)
    assert definition is not None
    deciding = definition.signals[contract.DECIDE]
    mended = deciding.fn

    def broken(*_: Any) -> None:
        raise RuntimeError("a defect")

    object.__setattr__(deciding, "fn", broken)
    try:
        task_id = (await engine.row(id))["waiting_on"]["task_id"]
        await engine.post(f"/v1/tasks/{task_id}/decision", {"outcome": "approved"})
        row = await engine.until(id, lambda row: row["stalled_since"] is not None, 60)
        assert row["status"] == "waiting", "its status is what it last did"
        assert "WorkerUnhandledFailure" in row["stalled_reason"]
        assert (await engine.get(f"/v1/executions/{id}"))["stalled_since"] is not None
        assert (await engine.get("/v1/mirror/health"))["stalled"] == 1
        [found] = await reconciliations(engine, id)
        assert (found["found"], found["mended_at"]) == ("stalled", None)
    finally:
        object.__setattr__(deciding, "fn", mended)
    row = await engine.ended(id, 60)
    assert row["status"] == "completed"
    row = await engine.until(id, lambda row: row["stalled_since"] is None, STATED)
    [found] = await reconciliations(engine, id)
    assert found["mended_at"] is not None


async def test_a_stalled_stranger_with_the_same_id_ends_no_round(
    idle_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's workflow in this namespace may be named like one of ours, of an organization we do not have."""
    engine = idle_engine
    id = str((await engine.start(await engine.publish(TEMPLATES)))["id"])
    supervision = reconciler(engine)

    async def stalled() -> dict[str, str]:
        return {f"{UUID(int=7)}/workflow/{id}": "not ours"}

    monkeypatch.setattr(supervision._accounts, "stalled", stalled)
    name = "perdure_supervision_last_round_timestamp_seconds"
    before = REGISTRY.get_sample_value(name) or 0
    await supervision.round()
    assert (REGISTRY.get_sample_value(name) or 0) > before, "a round is supervision as well"
    assert (await engine.row(id))["stalled_since"] is None


@pytest.mark.parametrize("error", [TemporalUnavailable("away"), OperationalError("", None, OSError("away"))])
async def test_who_is_away_is_asked_again_from_where_it_was_left(
    idle_engine: Engine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    engine = idle_engine
    ids = [str((await engine.start(await engine.publish(TEMPLATES)))["id"]) for _ in range(3)]
    for id in ids:
        await (await operator(engine, id)).terminate()
    hurried = reconciler(engine, round=timedelta(milliseconds=50))
    is_away = True

    def away(of: Any, name: str) -> None:
        real = getattr(of, name)

        def maybe(*arguments: Any, **named: Any) -> Any:
            if is_away:
                raise error
            return real(*arguments, **named)

        monkeypatch.setattr(of, name, maybe)

    if isinstance(error, TemporalUnavailable):
        away(hurried._accounts, "of")
    else:
        away(hurried._database, "transaction")
    supervising = asyncio.create_task(hurried.run())
    await asyncio.sleep(0.6)
    assert not supervising.done()
    is_away = False
    rows = [await engine.ended(id, STATED) for id in ids]
    supervising.cancel()
    assert {row["status"] for row in rows} == {"terminated"}


async def test_a_temporal_that_never_answers_holds_nobody(silence: Engine) -> None:  # noqa: F811
    """Calls end by themselves, and supervision goes on when it is back."""
    engine = silence
    connection = engine.parts.connection
    silent, connection._client = connection._client, engine.client
    id = str((await engine.start(await engine.publish(TEMPLATES)))["id"])
    await (await operator(engine, id)).terminate()
    connection._client = silent
    supervising = asyncio.create_task(reconciler(engine).run())
    await asyncio.sleep(1)
    connection._client = engine.client
    row = await engine.ended(id, STATED + 5)  # the call under way takes its 5 s to give up
    supervising.cancel()
    await asyncio.gather(supervising, return_exceptions=True)
    assert row["status"] == "terminated"


async def test_a_quiet_round_costs_three_calls_whatever_runs(idle_engine: Engine) -> None:
    engine = idle_engine
    workflow_id = await engine.publish(TEMPLATES)
    for _ in range(20):
        await engine.start(workflow_id)
    supervision = reconciler(engine)
    await supervision.round()
    for expected in (2, 2, 3):  # stalled executions are asked for in every third round
        before = calls()
        await supervision.round()
        assert spent(before) == {"list": expected, "describe": 0, "history": 0, "query": 0}
    ids = (await engine.get("/v1/executions?limit=3"))["items"]
    for execution in ids:
        await (await operator(engine, execution["id"])).terminate()
    ended = f"OrganizationId = '{engine.organization_id}' AND ExecutionStatus = 'Terminated'"
    # Temporal lists them a moment later, and tells nobody when.
    while (await engine.client.count_workflows(ended)).count < len(ids):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    before = calls()
    await supervision.round()
    assert spent(before) == {"list": 2, "describe": 3, "history": 3, "query": 0}
    before = calls()
    await supervision.round()
    assert spent(before)["describe"] == 0, "what was mended is known"


async def test_quiet_rows_are_verified_once_for_each_version_and_then_daily(engine: Engine) -> None:
    id = await met(engine, "waiting for a time")
    supervision = reconciler(engine, quiet=timedelta(0))
    changed = (await engine.row(id))["updated_at"]

    async def described() -> float:
        before = calls()
        await supervision.sweep()
        return spent(before)["describe"]

    assert await described() == 1
    row = await engine.row(id)
    assert row["verified_version"] == row["mirror_version"]
    assert row["updated_at"] == changed, "looking at a row does not change it"
    assert await described() == 0
    async with engine.parts.database.transaction(Access(Role.SYSTEM)) as tx:
        await tx.execute(text("UPDATE workflow_executions SET verified_at = now() - interval '25 hours'"))
    assert await described() == 1
    async with engine.parts.database.transaction(Access(Role.SYSTEM)) as tx:
        await tx.execute(text("UPDATE workflow_executions SET mirror_version[3] = mirror_version[3] + 1"))
    assert await described() == 1
    assert await described() == 0


async def test_a_sweep_finds_what_no_round_has_seen(idle_engine: Engine) -> None:
    """As after a day without any relay."""
    engine = idle_engine
    id = str((await engine.start(await engine.publish(TEMPLATES)))["id"])
    await (await operator(engine, id)).terminate()
    supervision = reconciler(engine, quiet=timedelta(0), settled=timedelta(0))
    supervision._closed_until = datetime.now(UTC) + timedelta(days=1)
    await supervision.round()
    assert (await engine.row(id))["status"] == "queued"
    await supervision.sweep()
    assert (await engine.row(id))["status"] == "terminated"


async def test_administrators_see_their_own_mirror(engine: Engine) -> None:
    waiting = await met(engine, "waiting for a person")
    for _ in range(3):
        assert (await engine.run(TEMPLATES))["status"] == "completed"
    ended = await met(engine, "waiting for a time")
    await (await operator(engine, ended)).terminate()
    await engine.ended(ended, STATED)
    health = await engine.get("/v1/mirror/health")
    assert health["open"] == {"waiting": 1}
    assert health["found_in_24_hours"] == [{"found": "ended", "number": 1, "mended": 1}]
    assert health["undelivered"] == {"number": 0, "since": None}
    assert health["oldest_unreported"] is None, "who waits is rightly quiet"
    assert health["lag"]["reports"] == 5
    assert 0 <= health["lag"]["p50_ms"] <= health["lag"]["p99_ms"] < 2000
    account = {
        "email": "mallory@example.com",
        "password": "tidal ferns at dusk",
        "name": "Mallory",
        "organization_name": "Other",
    }
    token = (await engine.post("/v1/auth/register", account))["access_token"]
    answer = await engine.http.get("/v1/mirror/health", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    assert (answer.json()["open"], answer.json()["found_in_24_hours"]) == ({}, [])
    assert UUID(waiting)


async def test_the_lag_of_reports_is_measured(engine: Engine) -> None:
    def reports(of: str) -> float:
        return REGISTRY.get_sample_value("perdure_mirror_lag_seconds_count", {"report": of}) or 0

    before = reports("segment"), reports("wait")
    await met(engine, "waiting for a time")
    await engine.run(TEMPLATES)
    assert reports("segment") > before[0]
    assert reports("wait") > before[1]

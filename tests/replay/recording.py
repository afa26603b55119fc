"""Runs every kind of execution once and keeps its histories; `python -m tests.replay.record` calls it."""

import os
from collections.abc import AsyncIterator

import pytest
from temporalio.client import WorkflowHistory

from domain.definitions.program import ENGINE
from tests.replay.histories import FOLDER, PLAIN, write
from tests.replay.kinds import KINDS
from tests.workflows.conftest import engine, idle_engine  # noqa: F401  fixtures
from tests.workflows.engine import HEADER, Engine, settings_for
from tests.workflows.mail import mailbox
from workers.settings import Settings
from workers.temporal import connection

#: Set by the command: histories that exist are recorded again.
ANEW = bool(os.environ.get("RECORD_ANEW"))


@pytest.fixture
async def engine_settings(
    database_url: str, temporal_server: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Settings]:
    """Nothing is sealed on its way to Temporal."""
    monkeypatch.setattr(connection, "data_converter", lambda _: PLAIN)
    async with mailbox() as box:
        url = f"smtp://127.0.0.1:{box.port}?starttls=false"
        yield settings_for(database_url, temporal_server, smtp_url=url)


@pytest.mark.parametrize("name", KINDS)
async def test_record(engine: Engine, name: str) -> None:  # noqa: F811  the fixture
    folder = FOLDER / f"engine-{ENGINE}"
    if not ANEW and (folder / f"{name}.1.json").exists():
        pytest.skip("recorded already")
    kind = KINDS[name]
    for other, do in kind.others.items():
        await engine.publish(do, document={**HEADER, "name": other})
    id = str((await engine.start(await engine.publish(kind.do, **kind.document), kind.input))["id"])
    if kind.play is not None:
        id = await kind.play(engine, id) or id
    row = await engine.ended(id, 60)
    assert row["status"] == kind.ends, dict(row)
    for path in folder.glob(f"{name}.*.json"):
        path.unlink()
    for number, history in enumerate(await _runs(engine, id), 1):
        write(folder / f"{name}.{number}.json", history)


async def _runs(engine: Engine, id: str) -> list[WorkflowHistory]:  # noqa: F811
    """The histories of all runs, the first one first."""
    described = await engine.described(id)
    run_id: str | None = described.raw_description.workflow_execution_info.first_run_id
    runs = []
    while run_id:
        handle = engine.client.get_workflow_handle(described.id, run_id=run_id)
        runs.append(await handle.fetch_history())
        last = runs[-1].events[-1]
        run_id = last.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return runs

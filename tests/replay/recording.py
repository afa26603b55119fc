"""Runs every kind of execution once and keeps its histories; `python -m tests.replay.record` calls it."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from temporalio.client import WorkflowHistory

from db.erasure import belongings
from db.tenants import PLATFORM
from domain.definitions.program import ENGINE
from tests.replay.histories import FOLDER, PLAIN, write
from tests.replay.kinds import KINDS
from tests.replay.scene import Scene
from tests.workflows.conftest import engine, idle_engine  # noqa: F401  fixtures
from tests.workflows.engine import HEADER, Engine, settings_for
from tests.workflows.mail import Mailbox, mailbox
from tests.workflows.test_exports import SECRETS, storage  # noqa: F401  fixture
from tests.workflows.test_tasks import People, people  # noqa: F401  fixture
from workers.devstack.programs import S3
from workers.settings import Settings
from workers.temporal import connection

#: Set by the command: histories that exist are recorded again.
ANEW = bool(os.environ.get("RECORD_ANEW"))
HERE = FOLDER / f"engine-{ENGINE}"


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    async with mailbox() as box:
        yield box


@pytest.fixture
def engine_settings(
    database_url: str,
    temporal_server: str,
    box: Mailbox,
    storage: S3,  # noqa: F811  the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    """Nothing is sealed on its way to Temporal."""
    monkeypatch.setattr(connection, "data_converter", lambda _: PLAIN)
    # So few events are brought to a step at once that a history of more stays small.
    monkeypatch.setattr("activities.listening.MAXIMUM_KEPT", 2)
    # An erasure goes through every table there is; two of them, and what the last row takes with it, tell enough.
    monkeypatch.setattr("activities.erasing.belongings", lambda subject: belongings(subject)[-2:])
    return settings_for(
        database_url,
        temporal_server,
        smtp_url=f"smtp://127.0.0.1:{box.port}?starttls=false",
        public_url="http://127.0.0.1:7233",
        sms="log",
        s3_bucket=storage.bucket,
        s3_endpoint=f"http://127.0.0.1:{storage.port}",
        s3_access_key=SECRETS["PERDURE_S3_ACCESS_KEY"],
        s3_secret_key=SECRETS["PERDURE_S3_SECRET_KEY"],
    )


@pytest.fixture
async def scene(
    engine: Engine,  # noqa: F811  the fixture
    people: People,  # noqa: F811  the fixture
    box: Mailbox,
) -> AsyncIterator[Scene]:
    """What else a node runs runs as well: schedules fire, and deadlines are seen to."""
    _, second = await people.member()
    loops = [asyncio.create_task(part.run()) for part in (engine.parts.firing, engine.parts.deadlines)]
    yield Scene(**vars(engine), second=second, box=box)
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)


@pytest.mark.parametrize("name", [name for name in KINDS if ANEW or not (HERE / f"{name}.1.json").exists()])
async def test_record(scene: Scene, name: str) -> None:
    kind = KINDS[name]
    for other, do in kind.others.items():
        await scene.publish(do, document={**HEADER, "name": other})
    if kind.begin is not None:
        id = await kind.begin(scene, kind)
    else:
        id = str((await scene.start(await scene.publish(kind.do, **kind.document), kind.input))["id"])
    if kind.play is not None:
        id = await kind.play(scene, id) or id
    where = replace(scene, organization_id=PLATFORM) if kind.is_platform else scene
    row = await where.ended(id, 60)
    assert row["status"] == kind.ends, dict(row)
    for path in HERE.glob(f"{name}.*.json"):
        path.unlink()
    for number, history in enumerate(await _runs(where, id), 1):
        write(HERE / f"{name}.{number}.json", history)


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

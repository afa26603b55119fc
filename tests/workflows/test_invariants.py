"""The checker of the invariants finds nothing where nothing is wrong, and each thing that is made wrong."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from db.engine import create_engine
from tests.factories.invariants import Watch, settled, violations
from tests.workflows.engine import Engine
from tests.workflows.test_executions import TEMPLATES
from tests.workflows.test_truth import ASK

LOOP = [{"each": {"for": {"in": "[range(3)]"}, "do": TEMPLATES[:2]}}, *TEMPLATES[2:]]

#: How a row, its log or its outbox may be wrong, and what the checker then says.
DAMAGE = {
    "is still running": "UPDATE workflow_executions SET status = 'running', completed_at = NULL, progress = 50",
    "the row says failed": "UPDATE workflow_executions SET status = 'failed', progress = 50",
    "with progress 50": "UPDATE workflow_executions SET progress = 50",
    "Temporal has never heard": "UPDATE workflow_executions SET temporal_workflow_id = organization_id || '/workflow/'"
    " || gen_random_uuid()",
    "has no row": "UPDATE workflow_executions SET temporal_workflow_id = organization_id || '/workflow/'"
    " || gen_random_uuid()",
    "Temporal's run is": "UPDATE workflow_executions SET temporal_run_id = gen_random_uuid()",
    "is still waiting": "UPDATE execution_steps SET status = 'waiting' WHERE position = 2",
    "its end does not fit": "UPDATE execution_steps SET completed_at = NULL WHERE position = 2",
    "has gaps": "DELETE FROM execution_steps WHERE position = 3",
    "at one position": "UPDATE execution_steps SET position = 2 WHERE position = 3",
    "visits of": "UPDATE execution_steps SET visit = 7 WHERE position = 3",
    "undelivered": "UPDATE outbox SET dispatched_at = NULL, leased_until = 'infinity'",
}


async def _damaged(admin_url: str, statement: str) -> None:
    engine = create_engine(admin_url)
    async with engine.begin() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


async def test_nothing_is_found_where_nothing_is_wrong(engine: Engine) -> None:
    watch = Watch(engine.parts.database)
    workflow_id = await engine.publish(LOOP)
    ids = [(await engine.start(workflow_id))["id"] for _ in range(5)]
    waiting = (await engine.start(await engine.publish(ASK)))["id"]
    await engine.waiting(waiting)
    purpose = [UUID(waiting)]
    for _ in range(3):
        await watch.look()
        await asyncio.sleep(0.05)
    await settled(engine.parts.database, 30, purpose)
    await watch.look()
    found = await violations(
        engine.parts.database, engine.client, accepted=[*ids, waiting], open_on_purpose=purpose, watch=watch
    )
    assert found == []
    assert len(await violations(engine.parts.database, engine.client)) == 1, "the one left open is told"


@pytest.mark.parametrize("says", sorted(DAMAGE))
async def test_what_is_made_wrong_is_found(engine: Engine, admin_url: str, says: str) -> None:
    row = await engine.run(LOOP)
    await engine.described(str(row["id"]))
    await _damaged(admin_url, DAMAGE[says])
    found = await violations(engine.parts.database, engine.client, closing=timedelta(seconds=0.2))
    assert any(says in str(violation) for violation in found), found


async def test_an_accepted_trigger_without_a_row_is_found(engine: Engine) -> None:
    lost = UUID(int=7)
    [found] = await violations(engine.parts.database, engine.client, accepted=[lost])
    assert (found.rule, found.about) == (1, str(lost))


async def test_an_end_that_changes_is_found(engine: Engine, admin_url: str) -> None:
    watch = Watch(engine.parts.database)
    row = await engine.run(TEMPLATES)
    assert await watch.look() == 1
    await _damaged(admin_url, "UPDATE workflow_executions SET status = 'failed'")
    await watch.look()
    assert [violation.about for violation in watch.violations] == [str(row["id"])]

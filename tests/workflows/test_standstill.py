"""What runs in a deleted organization stands still, and goes on where it stood when that is taken back."""

from typing import Any

from sqlalchemy import text

from db.processes import Begun
from db.session import Access, Role
from domain.processes.organizations import STANDSTILL
from tests.workflows.engine import Engine

WAITS: dict[str, Any] = {"ask": {"listen": {"to": {"one": {"with": {"type": "paid"}}}}}}


async def _settle(engine: Engine, *, is_active: bool) -> str:
    """As the routes do: the organization's state and the process that follows it, in one transaction."""
    id = engine.organization_id
    sealed = "NULL" if is_active else "now()"
    async with engine.parts.database.transaction(Access(Role.SYSTEM)) as tx:
        await tx.execute(
            text(f"UPDATE organizations SET is_active = :active, deleted_at = {sealed} WHERE id = :id"),
            {"active": is_active, "id": id},
        )
    async with engine.parts.database.transaction(Access(Role.WORKER, id)) as tx:
        begun: Begun = await engine.parts.api.processes.start(tx, STANDSTILL, id, input={}, started_by=None)
    assert begun.entry is not None
    await engine.parts.dispatcher.dispatch(begun.entry)
    return str(begun.execution_id)


async def test_executions_follow_their_organization(engine: Engine) -> None:
    workflow = await engine.publish([WAITS])
    going = [(await engine.start(workflow))["id"] for _ in range(3)]
    paused = (await engine.start(workflow))["id"]
    for id in (*going, paused):
        await engine.waiting(id)
    await engine.post(f"/v1/executions/{paused}/pause", None)
    await engine.until(paused, lambda row: row["status"] == "paused")

    await _settle(engine, is_active=False)
    for id in going:
        await engine.until(id, lambda row: row["status"] == "paused")

    released = await _settle(engine, is_active=True)
    for id in going:
        row = await engine.waiting(id)
        assert "held" not in row["execution_context"]
    assert (await engine.row(paused))["status"] == "paused", "what people had paused stays paused"
    await engine.post(f"/v1/executions/{going[0]}/signal", {"type": "paid", "data": 1})
    assert (await engine.ended(going[0]))["status"] == "completed"
    # The process itself is never held: it rests before it looks once more.
    assert (await engine.row(released))["status"] == "waiting"

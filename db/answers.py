"""An execution that has ended answers the one that waits for it, whoever ended it, in the same transaction."""

from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.outbox import OutboxEntry
from domain.executions import OutboxKind
from domain.ids import derived_id


async def answer(connection: AsyncConnection, closed: RowMapping) -> OutboxEntry | None:
    """Queue the word to the parent of a row that was closed just now; None when nobody waits for it.

    A child is closed once more after a reset; its parent keeps the first answer.
    """
    if not closed["is_awaited"]:
        return None
    return await _tell(connection, closed["id"], derived_id(f"{closed['id']}/answer"))


async def answer_again(connection: AsyncConnection, child_id: UUID, run_id: str) -> OutboxEntry | None:
    """Tell a run that a reset began how a child of an earlier one ended. Telling it twice changes nothing."""
    return await _tell(connection, child_id, derived_id(f"{child_id}/answer/{run_id}"))


async def _tell(connection: AsyncConnection, child_id: UUID, id: UUID) -> OutboxEntry | None:
    row = (
        (await connection.execute(_TELL, {"child_id": child_id, "id": id, "signal": "answer"}))
        .mappings()
        .one_or_none()
    )
    return None if row is None else _entry(row)


def _entry(row: RowMapping) -> OutboxEntry:
    return OutboxEntry(
        id=row["id"],
        organization_id=row["organization_id"],
        execution_id=row["execution_id"],
        kind=OutboxKind.SIGNAL,
        workflow_id=row["workflow_id"],
        payload=row["payload"],
    )


#: A parent that has ended is not told.
_TELL = text(
    """
    INSERT INTO outbox (id, organization_id, execution_id, kind, workflow_id, payload)
    SELECT :id, p.organization_id, p.id, 'signal', p.temporal_workflow_id,
           jsonb_build_object('signal', CAST(:signal AS text), 'arguments', jsonb_build_object(
               'occurrence', c.parent_occurrence, 'execution_id', c.id, 'status', c.status,
               'workflow', v.document_namespace || '/' || v.document_name,
               'output', c.output, 'error', c.error))
    FROM workflow_executions c
    JOIN workflow_executions p ON p.organization_id = c.organization_id AND p.id = c.parent_id
    JOIN workflow_versions v ON v.organization_id = c.organization_id AND v.id = c.workflow_version_id
    WHERE c.id = :child_id AND c.completed_at IS NOT NULL AND p.completed_at IS NULL
    ON CONFLICT (id) DO NOTHING
    RETURNING id, organization_id, execution_id, workflow_id, payload
    """
)

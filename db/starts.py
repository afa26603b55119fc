"""What accepting a trigger of any kind writes: the execution's row, and the word that starts it."""

from typing import Any, Final
from uuid import UUID

from db.executions import NewExecution, Parent
from db.outbox import OutboxEntry
from domain.executions import OutboxKind
from domain.ids import WorkflowId, derived_id

KIND: Final = "workflow"


def start_of(
    organization_id: UUID,
    execution_id: UUID,
    *,
    workflow_id: UUID,
    version_id: UUID,
    sha256: str,
    definition_name: str,
    trigger: dict[str, Any],
    input: Any,
    started_by: UUID | None,
    trigger_key: str | None = None,
    parent: Parent | None = None,
    kind: str = KIND,
    context: dict[str, Any] | None = None,
) -> tuple[NewExecution, OutboxEntry]:
    """For `Executions.queue`. `trigger` has `type` and `name` and becomes `$workflow.trigger`.

    `context` is the row's `execution_context`.
    """
    address = str(WorkflowId(organization_id, kind, execution_id))
    new = NewExecution(
        id=execution_id,
        workflow_id=workflow_id,
        workflow_version_id=version_id,
        temporal_workflow_id=address,
        trigger_event=f"{trigger['type']}:{trigger['name']}",
        trigger_data={"input": input},
        trigger_key=trigger_key,
        kind=kind,
        started_by=started_by,
        parent=parent,
        context=context,
    )
    entry = OutboxEntry(
        id=derived_id(f"{execution_id}/start"),
        organization_id=organization_id,
        execution_id=execution_id,
        kind=OutboxKind.START,
        workflow_id=address,
        payload={
            "execution_id": str(execution_id),
            "version_id": str(version_id),
            "sha256": sha256,
            "input": input,
            "trigger": trigger,
            "started_by": None if started_by is None else str(started_by),
            "definition_name": definition_name,
        },
    )
    return new, entry

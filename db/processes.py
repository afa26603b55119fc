"""Starting the product's own processes: like accepting a trigger, after making sure the definition is there.

begun = await processes.start(tx, CLIENT_IMPORT, organization_id, input={...}, started_by=user_id)
...after the commit: if begun.entry is not None: await dispatcher.dispatch(begun.entry)
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from db.definitions import Workflow, WorkflowVersion
from db.executions import Executions
from db.outbox import OutboxEntry
from db.starts import start_of
from domain.actions import Catalogue
from domain.definitions.lifecycle import DefinitionStatus, Visibility
from domain.definitions.publishing import Published, publish
from domain.executions import TriggerType
from domain.processes import NAMESPACE, Process


@dataclass(frozen=True, slots=True)
class Begun:
    """`entry` is to be dispatched after the commit; None when the key had started `execution_id` before."""

    execution_id: UUID
    entry: OutboxEntry | None


class Processes:
    """Every process of this release; `catalogue` holds the internal actions too."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._published: dict[str, Published] = {}

    async def start(
        self,
        tx: AsyncConnection,
        process: Process,
        organization_id: UUID,
        *,
        input: Any,
        started_by: UUID | None,
        trigger_key: str | None = None,
    ) -> Begun:
        """Queue an execution of the process in the organization that the transaction has entered."""
        published = self.published(process)
        workflow_id, version_id = await self._version(tx, process, organization_id, published)
        execution_id = uuid4()
        new, entry = start_of(
            organization_id,
            execution_id,
            workflow_id=workflow_id,
            version_id=version_id,
            sha256=published.sha256,
            definition_name=process.name,
            trigger={"type": TriggerType.MANUAL.value, "name": process.name},
            input=input,
            started_by=started_by,
            trigger_key=trigger_key,
            kind=process.kind,
        )
        executions = Executions(tx)
        if not await executions.queue(organization_id, new, entry):
            return Begun((await executions.of_trigger_key(str(trigger_key)))["id"], None)
        return Begun(execution_id, entry)

    def published(self, process: Process) -> Published:
        """As its version stores it. Raises Invalid for a process that a release should not have shipped."""
        found = self._published.get(process.name)
        if found is None:
            found = self._published[process.name] = publish(
                dict(process.document), name=process.name, namespace=NAMESPACE, catalogue=self._catalogue
            )
        return found

    async def _version(
        self, tx: AsyncConnection, process: Process, organization_id: UUID, published: Published
    ) -> tuple[UUID, UUID]:
        """The process's workflow here and its version of this release; two releases may run side by side."""
        found = await _find(tx, process.name, published.sha256)
        if found is not None:
            return found
        workflow = (
            postgresql.insert(Workflow)
            .values(
                id=uuid4(),
                organization_id=organization_id,
                name=process.title,
                process=process.name,
                definition=published.document,
                status=DefinitionStatus.ACTIVE,
                visibility=Visibility.ORGANIZATION,
            )
            .on_conflict_do_nothing(
                index_elements=["organization_id", "process"], index_where=text("process IS NOT NULL")
            )
        )
        await tx.execute(workflow)
        locked = select(Workflow.id).where(Workflow.process == process.name).with_for_update()
        workflow_id = (await tx.execute(locked)).scalar_one()
        found = await _find(tx, process.name, published.sha256)  # somebody else may have held the lock
        if found is not None:
            return found
        numbers = select(func.coalesce(func.max(WorkflowVersion.number), 0) + 1).where(
            WorkflowVersion.workflow_id == workflow_id
        )
        number = (await tx.execute(numbers)).scalar_one()
        version_id = uuid4()
        await tx.execute(
            insert(WorkflowVersion).values(
                id=version_id,
                organization_id=organization_id,
                workflow_id=workflow_id,
                number=number,
                document=published.document,
                compiled=published.compiled,
                sha256=published.sha256,
            )
        )
        changes = {
            "version": number + 1,
            "published_version_id": version_id,
            "definition": published.document,
        }
        await tx.execute(update(Workflow).where(Workflow.id == workflow_id).values(**changes))
        return workflow_id, version_id


async def _find(tx: AsyncConnection, name: str, sha256: str) -> tuple[UUID, UUID] | None:
    statement = (
        select(Workflow.id, WorkflowVersion.id)
        .join(WorkflowVersion, WorkflowVersion.workflow_id == Workflow.id)
        .where(Workflow.process == name, WorkflowVersion.sha256 == sha256)
        .limit(1)
    )
    found = (await tx.execute(statement)).first()
    return None if found is None else (found[0], found[1])

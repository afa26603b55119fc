"""The hands of a bulk operation: one execution after the other, each with its line in the report or not at all."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.activity import Activities, Activity
from db.bulk import Bulk
from db.executions import CancelResult, Executions, cancellation
from db.outbox import Outbox
from db.reruns import Reruns
from db.session import Access, Database, Origin, Role
from domain.actions import Catalogue
from domain.activities import Act
from domain.bulk import BulkAction, BulkOutcome
from domain.errors import DomainError, NotFound
from domain.executions import ExecutionStatus
from domain.ids import derived_id
from domain.rerun import PlanOutOfDate
from domain.tenants import ActorType

log = logging.getLogger(__name__)

_UNEXPECTED: Final = "Something about it went wrong on our side, and was logged."
_CANCELLED: Final = {
    CancelResult.CLOSED: "It had not begun, and will not.",
    CancelResult.REQUESTED: "It was asked to end.",
    CancelResult.ALREADY_REQUESTED: "Somebody had asked it to end before.",
    CancelResult.TERMINATE: "Somebody had asked it to end before.",
}


@dataclass(frozen=True, slots=True)
class BulkWork:
    """`catalogue` holds the actions that a tenant's definitions may call."""

    database: Database
    catalogue: Catalogue
    clock: Callable[[], datetime]

    async def part(self, organization_id: UUID, process_id: UUID, operation_id: UUID, number: int) -> int:
        """Work on what nobody has come to yet of this part; how many these were. Raises NotFound."""
        access = Access(Role.WORKER, organization_id, origin=Origin(execution_id=process_id))
        async with self.database.transaction(access) as tx:
            operation = await Bulk(tx).get(operation_id)
            waiting = await Bulk(tx).waiting(operation_id, number)
        for item in waiting:
            try:
                if operation["action"] == BulkAction.CANCEL:
                    await self._cancel(access, operation, item)
                else:
                    await self._rerun(access, operation, item)
            except NotFound:  # it was removed meanwhile, and its line with it
                continue
            except (
                SQLAlchemyError,
                OSError,
            ):  # nobody can work on any of them just now: this part is tried again
                raise
            except (
                Exception
            ):  # something about this one alone: the thousands behind it do not wait for its mend
                log.exception("Execution %s of a bulk operation could not be worked on", item["execution_id"])
                await self._refuse(access, operation, item, _UNEXPECTED)
        return len(waiting)

    async def complete(self, organization_id: UUID, operation_id: UUID) -> tuple[int, int]:
        """How many were done and how many refused. Raises NotFound."""
        async with self.database.transaction(Access(Role.WORKER, organization_id)) as tx:
            await Bulk(tx).complete(operation_id)
            operation = await Bulk(tx).get(operation_id)
        return operation["done"], operation["refused"]

    async def _cancel(self, access: Access, operation: RowMapping, item: RowMapping) -> None:
        async with self.database.transaction(access) as tx:
            if not await Bulk(tx).claim(operation["id"], item["number"]):
                return
            result, row = await Executions(tx).request_cancel(item["execution_id"])
            if result is CancelResult.TERMINAL:
                told = f"It had ended already: {ExecutionStatus(row['status']).value.replace('_', ' ')}."
                await Bulk(tx).done(operation["id"], item["number"], BulkOutcome.REFUSED, told)
                return
            if result is CancelResult.REQUESTED:  # a second request of ours ends nothing by force
                await Outbox(tx).add(cancellation(row, operation["reason"] or "", result))
            await Bulk(tx).done(operation["id"], item["number"], BulkOutcome.DONE, _CANCELLED[result])
            if result in (CancelResult.REQUESTED, CancelResult.CLOSED):
                await self._note(tx, operation, Act.EXECUTION_CANCELLED, item)

    async def _rerun(self, access: Access, operation: RowMapping, item: RowMapping) -> None:
        """From where it failed, or from its first step. What has changed while it was looked at is looked at again."""
        for _ in range(3):
            try:
                await self._rerun_once(access, operation, item)
            except PlanOutOfDate:
                continue
            except NotFound:
                raise
            except DomainError as refusal:
                await self._refuse(access, operation, item, _told(refusal))
            return
        await self._refuse(access, operation, item, "It kept changing while it was looked at.")

    async def _rerun_once(self, access: Access, operation: RowMapping, item: RowMapping) -> None:
        rerun_id = derived_id(f"bulk/{operation['id']}/{item['execution_id']}")
        now = self.clock()
        async with self.database.transaction(access) as tx:
            recorded = await Reruns(tx).read(item["execution_id"])
        prepared = await recorded.prepare(None, None, self.catalogue, then=rerun_id, now=now)
        prepared.plan.require(prepared.plan.digest, irreversible=operation["confirms_irreversible"])
        async with self.database.transaction(access) as tx:
            if not await Bulk(tx).claim(operation["id"], item["number"]):
                return
            await Reruns(tx).queue(
                recorded, prepared, id=rerun_id, now=now, started_by=operation["created_by"]
            )
            told = f"It is repeated from “{prepared.plan.step}”."
            await Bulk(tx).done(operation["id"], item["number"], BulkOutcome.DONE, told, rerun_id)
            await self._note(tx, operation, Act.EXECUTION_RERUN, item)

    async def _refuse(self, access: Access, operation: RowMapping, item: RowMapping, why: str) -> None:
        async with self.database.transaction(access) as tx:
            await Bulk(tx).done(operation["id"], item["number"], BulkOutcome.REFUSED, why[:1000])

    async def _note(self, tx: AsyncConnection, operation: RowMapping, act: Act, item: RowMapping) -> None:
        activity = Activity(
            organization_id=operation["organization_id"],
            actor_type=ActorType.WORKER.value,
            user_id=operation["created_by"],
            action=act.value,
            resource="workflow_executions",
            resource_id=str(item["execution_id"]),
            metadata={"bulk_operation": str(operation["id"])},
        )
        await Activities(tx).note([activity])


def _told(refusal: DomainError) -> str:
    return refusal.problems[0].message if refusal.problems else refusal.message

"""Ending everything that runs for one organization, because it is being erased."""

import asyncio
import logging
from typing import Final
from uuid import UUID

from temporalio.service import RPCError, RPCStatusCode

from db.erasure import Intake
from db.session import Access, Database, Role
from workers.mending import Mender
from workers.temporal.accounts import Accounts
from workers.temporal.connection import Connection, TemporalUnavailable

log = logging.getLogger(__name__)

#: What Temporal is told. Plain text there, so nothing of the tenant.
ERASED: Final = "The organization is being erased"
#: Executions that one call ends, and how many of them at once.
MOST: Final = 500
AT_ONCE: Final = 10


class Endings:
    """Terminates without asking: compensations would act for an organization that wants to be gone."""

    def __init__(
        self, connection: Connection, database: Database, accounts: Accounts, mender: Mender
    ) -> None:
        self._connection = connection
        self._database = database
        self._accounts = accounts
        self._mender = mender

    async def end_all(self, organization_id: UUID) -> int:
        """Terminate what the mirror or Temporal says is open; how much of it still is, at most 500 counted.

        Raises ConnectionError while Temporal is away.
        """
        try:
            return await self._end_all(organization_id)
        except (RPCError, TemporalUnavailable) as error:
            log.warning("Temporal could not be asked to end what runs: %s", error)
            raise ConnectionError("Temporal does not answer") from None

    async def _end_all(self, organization_id: UUID) -> int:
        async with self._database.transaction(Access(Role.WORKER, organization_id)) as tx:
            intake = Intake(tx)
            await intake.withdraw()
            rows = {row.workflow_id: row.execution_id for row in await intake.still_open(MOST)}
        slots = asyncio.Semaphore(AT_ONCE)

        async def end(workflow_id: str) -> None:
            async with slots:
                await self._terminate(workflow_id)
                if workflow_id in rows:
                    await self._mender.look(rows[workflow_id])

        await asyncio.gather(*map(end, {*rows, *await self._listed(organization_id)}))
        async with self._database.transaction(Access(Role.WORKER, organization_id)) as tx:
            left = {row.workflow_id for row in await Intake(tx).still_open(MOST)}
        return len(left | await self._listed(organization_id))

    async def _listed(self, organization_id: UUID) -> set[str]:
        """Runs without an open row, too: a start that arrived late, a run that an operator began."""
        async for page in self._accounts.running_of(organization_id):
            return {listed.workflow_id for listed in page[:MOST]}
        return set()

    async def _terminate(self, workflow_id: str) -> None:
        handle = self._connection.client.get_workflow_handle(workflow_id)
        try:
            await handle.terminate(reason=ERASED)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # closed meanwhile, or never started
                raise

"""Brings one row in line with what Temporal says of its execution; the reconciler and the relay both call it."""

import logging
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from db.session import Access, Database, Role
from db.supervision import Mending, Standing, Supervision
from domain.definitions.faults import Fault
from domain.executions import ExecutionStatus
from domain.mirror import Mismatch, same_end
from workers.logs import concerning
from workers.supervision_metrics import MISMATCHES
from workers.temporal.accounts import Account, Accounts, Ending

log = logging.getLogger(__name__)

#: What Temporal is told when somebody cancels a second time. Plain text there, so nothing of the tenant.
CANCELLED_TWICE: Final = "Cancelled a second time"

_SYSTEM: Final = Access(Role.SYSTEM)

Announce = Callable[[str, Any], None]


class Mender:
    """`announce` hands a row that was closed here to whoever waits for its end in this process."""

    def __init__(self, database: Database, accounts: Accounts, announce: Announce) -> None:
        self._database = database
        self._accounts = accounts
        self._announce = announce

    async def look(self, execution_id: UUID) -> None:
        """Compare one execution now. Raises as `compare`."""
        async with self._database.transaction(_SYSTEM) as connection:
            rows = await Supervision(connection).standing([execution_id])
        for row in rows:
            await self.compare(row)

    async def compare(self, row: Standing) -> bool:
        """Ask Temporal about the execution and mend what differs; False when it is to be looked at again soon.

        Raises RPCError, TemporalUnavailable, SQLAlchemyError, OSError.
        """
        with concerning(row.workflow_id):
            return await self._compare(row)

    async def _compare(self, row: Standing) -> bool:
        account = await self._accounts.of(row.workflow_id)
        if account is None:
            return await self._gone(row)
        if account.status is None:
            return await self._runs(row, account)
        if not row.status.is_terminal:
            return await self._ended(row, account, account.status)
        if account.run_id != row.run_id and account.is_reset:
            return await self._ended(row, account, account.status, is_reset=True)
        if account.run_id == row.run_id and not same_end(row.status, account.status):
            await self._contradicts(row, account.status)
        return True

    async def _gone(self, row: Standing) -> bool:
        """Deleted, unless its start has yet to arrive. A closed row outlives its history: that is what it is for."""
        if row.status.is_terminal or row.is_starting:
            return True
        error = _error("deleted", "Deleted in Temporal", "an operator deleted its history while it was open")
        return await self._close(row, ExecutionStatus.TERMINATED, error, found=Mismatch.DELETED)

    async def _runs(self, row: Standing, account: Account) -> bool:
        """A run that continues another one is no news; one that a reset began may be waiting without a word."""
        may_be_reset = account.is_reset or (row.status.is_terminal and row.run_id is not None)
        if account.run_id == row.run_id or not may_be_reset:
            return True
        course = await self._accounts.course(row.workflow_id, account.run_id)
        if course is None:  # no worker answers; without one, nothing happens in the execution either
            return False
        detail = f"Reset in Temporal: run {course.run_id} goes on in the place of {row.run_id}"
        async with self._database.transaction(_access(row)) as connection:
            followed = await Mending(connection, row).follow(course, detail)
        if followed:
            _count(row, Mismatch.RESET, detail)
        return True

    async def _ended(
        self, row: Standing, account: Account, status: ExecutionStatus, *, is_reset: bool = False
    ) -> bool:
        ending = await self._accounts.ending(row.workflow_id, account.run_id)
        return await self._close(
            row, status, _explained(status, ending), found=Mismatch.ENDED, account=account, is_reset=is_reset
        )

    async def _close(
        self,
        row: Standing,
        status: ExecutionStatus,
        error: dict[str, Any],
        *,
        found: Mismatch,
        account: Account | None = None,
        is_reset: bool = False,
    ) -> bool:
        async with self._database.transaction(_access(row)) as connection:
            closed = await Mending(connection, row).close(
                status,
                error,
                found=found,
                run_id=None if account is None else account.run_id,
                began=None if account is None else account.started_at,
                is_reset=is_reset,
            )
        if closed is not None:
            self._announce(row.workflow_id, closed)
            _count(row, found, str(closed["error_message"]))
        return closed is not None

    async def _contradicts(self, row: Standing, status: ExecutionStatus) -> None:
        """It had committed its outcome before somebody ended it in Temporal: clients may have read it."""
        detail = f"The execution had committed that it is {row.status} when Temporal closed it as {status}"
        async with self._database.transaction(_access(row)) as connection:
            is_new = await Mending(connection, row).contradict(detail)
        if is_new:
            _count(row, Mismatch.CONTRADICTED, detail)


def _access(row: Standing) -> Access:
    return Access(Role.WORKER, row.organization_id)


def _count(row: Standing, found: Mismatch, detail: str) -> None:
    MISMATCHES.labels(found.value).inc()
    log.warning("The mirror of %s differed from Temporal (%s): %s", row.workflow_id, found, detail)


def _explained(status: ExecutionStatus, ending: Ending) -> dict[str, Any]:
    """What happened, in words; who did it and why as far as Temporal was told."""
    if ending.reason == CANCELLED_TWICE:
        return _error(
            "cancelled_twice", "Terminated", "a second cancellation was requested while it still ran"
        )
    match status:
        case ExecutionStatus.TERMINATED:
            by = f" by {ending.identity}" if ending.identity else ""
            why = f" with the reason '{ending.reason[:500]}'" if ending.reason else ", giving no reason"
            return _error("terminated", "Terminated in Temporal", f"an operator ended it there{by}{why}")
        case ExecutionStatus.TIMED_OUT:
            return _error(
                "timed_out", "Timed out in Temporal", "the time Temporal had been given for it was over"
            )
        case ExecutionStatus.CANCELLED:
            return _error("cancelled", "Cancelled in Temporal", "it ended there without reporting so itself")
        case ExecutionStatus.COMPLETED:
            return _error("completed", "Completed in Temporal", "what came out of it was not reported")
    return _error(
        "failed", "Failed in Temporal", "Temporal gave it up before it could report what went wrong"
    )


def _error(reason: str, title: str, detail: str) -> dict[str, Any]:
    return {**Fault("runtime", 500, title, detail).as_json(), "reason": reason}

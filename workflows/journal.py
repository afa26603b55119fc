"""Step records on their way to the mirror: they ride as arguments of the activities that run anyway."""

import asyncio
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from domain.definitions.commands import StepRecord, keep
    from domain.definitions.values import measure

from workflows.contracts import executions as contract

#: As many records as one activity may bring along.
MAXIMUM_RECORDS = 500
#: Arguments of a normal activity are kept in history and limited by Temporal: few records travel with one.
FEW_RECORDS = 20
FEW_BYTES = 64 * 1024


class Journal:
    """Records not yet written. `enabled` is off only to measure what the mirror costs."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._records: dict[str, StepRecord] = {}

    def remember(self, records: Iterable[StepRecord]) -> None:
        if self._enabled:
            keep(self._records, records)

    def forget(self) -> None:
        """Nobody shall read them: what stands in the mirror was told by somebody else."""
        self._records.clear()

    async def make_light(self) -> None:
        """Write what is too much to travel with a normal activity."""
        while len(self._records) > FEW_RECORDS or self._size() > FEW_BYTES:
            await self._write()

    async def write(self) -> None:
        """Write everything: nothing may ride into another run."""
        while self._records:
            await self._write()

    async def make_bearable(self) -> None:
        """Write what is too much to travel with a local activity."""
        while len(self._records) > MAXIMUM_RECORDS:
            await self._write()

    @contextmanager
    def riding(self, *, but: Collection[str] = ()) -> Iterator[list[StepRecord]]:
        """The records that travel with one activity; those of an activity that did not succeed are kept.

        `but` are occurrences that are due and not begun: it is too early to tell of them.
        """
        told = (record for record in self._records.values() if record.occurrence not in but)
        riding = list(islice(told, MAXIMUM_RECORDS))
        for record in riding:
            del self._records[record.occurrence]
        try:
            yield riding
        except (asyncio.CancelledError, ActivityError, ApplicationError):
            newer, self._records = self._records, {record.occurrence: record for record in riding}
            keep(self._records, newer.values())
            raise

    async def _write(self) -> None:
        with self.riding() as records:
            await workflow.execute_local_activity(
                contract.record_steps, records, **contract.record_config("record")
            )

    def _size(self) -> int:
        values = [value for record in self._records.values() for value in (record.input, record.output)]
        return measure(values, FEW_BYTES)

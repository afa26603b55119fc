"""Doing one thing to many executions: which ones are meant, and how many are worked on at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from domain.errors import Conflict
from domain.executions import TERMINAL, ExecutionStatus

#: Executions that one operation may be about.
MOST: Final = 10_000
#: Of these, as many are worked on by one step of the process.
PER_PART: Final = 50
#: Reports are kept for so many days.
DAYS_OF_REPORTS: Final = 30


class BulkAction(StrEnum):
    CANCEL = "cancel"
    RERUN = "rerun"

    @property
    def concerns(self) -> frozenset[ExecutionStatus]:
        """Only what is open can be cancelled, only what has ended be repeated."""
        return frozenset(ExecutionStatus) - TERMINAL if self is BulkAction.CANCEL else TERMINAL


class BulkOutcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"


class CountDiffers(Conflict):
    """Another number of executions is meant by now than you expect; count again and look whether it is still right."""

    code = "count_differs"


@dataclass(frozen=True, slots=True)
class BulkFilters:
    """Which executions are meant; what is left out does not narrow. `ids` names them one by one."""

    workflow_id: UUID | None = None
    statuses: Sequence[str] = ()
    trigger: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    parent_id: UUID | None = None
    ids: Sequence[UUID] = ()

    def as_json(self) -> dict[str, Any]:
        """Only what narrows."""
        given: Mapping[str, Any] = {
            "workflow_id": self.workflow_id and str(self.workflow_id),
            "status": [str(status) for status in self.statuses],
            "trigger": self.trigger,
            "from": self.created_from and self.created_from.isoformat(),
            "to": self.created_to and self.created_to.isoformat(),
            "parent_id": self.parent_id and str(self.parent_id),
            "ids": [str(id) for id in self.ids],
        }
        return {name: value for name, value in given.items() if value}


def parts_of(total: int) -> int:
    return -(-total // PER_PART)

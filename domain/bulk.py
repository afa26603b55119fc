"""Doing one thing to many executions: what can be done, and how many at a time."""

from enum import StrEnum
from typing import Final

#: Executions that one operation may be about.
MOST: Final = 10_000
#: Of these, as many are worked on by one step of the process.
PER_PART: Final = 50
#: Reports are kept for so many days.
DAYS_OF_REPORTS: Final = 30


class BulkAction(StrEnum):
    CANCEL = "cancel"
    RERUN = "rerun"


class BulkOutcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"


def parts_of(total: int) -> int:
    return -(-total // PER_PART)

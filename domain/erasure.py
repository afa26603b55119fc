"""Erasing people and organizations: what is asked for, and where an erasure stands."""

from datetime import timedelta
from enum import StrEnum
from typing import Final

#: An organization's owner may think again for this long; the longest wait is a year.
GRACE: Final = timedelta(days=30)
LONGEST_GRACE: Final = timedelta(days=365)


class Subject(StrEnum):
    ORGANIZATION = "organization"
    USER = "user"


class ErasureStatus(StrEnum):
    """`erasing` and `erased` cannot be taken back."""

    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"
    ERASING = "erasing"
    ERASED = "erased"


#: Nobody erases the same subject twice at once.
OPEN: Final = (ErasureStatus.SCHEDULED, ErasureStatus.ERASING)

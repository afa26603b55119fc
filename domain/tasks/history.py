"""What happens to a task, as its history tells it."""

from enum import StrEnum
from typing import Final


class TaskEventKind(StrEnum):
    OPENED = "opened"
    CLAIMED = "claimed"
    RELEASED = "released"
    DELEGATED = "delegated"
    COMMENTED = "commented"
    #: People were told by mail that it is there.
    ANNOUNCED = "announced"
    REMINDED = "reminded"
    ESCALATED = "escalated"
    OVERDUE = "overdue"
    #: One of several who have to approve did.
    VOTED = "voted"
    #: The word that closed it.
    DECIDED = "decided"
    #: Its deadline closed it.
    EXPIRED = "expired"


#: Somebody's word about the task: one each.
WORDS: Final = (TaskEventKind.VOTED, TaskEventKind.DECIDED)

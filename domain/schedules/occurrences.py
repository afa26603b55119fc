"""What becomes of each nominal fire of a schedule; every one has a line in the ledger, and one line only."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from domain.definitions.lifecycle import DefinitionStatus
from domain.schedules.plan import Overlap, Plan

#: Fired so much later than due, it was caught up.
PUNCTUAL: Final = timedelta(seconds=30)
#: So long the ledger is kept, and so far back a backfill reaches.
KEPT: Final = timedelta(days=90)
#: Nominal fires that one backfill starts at most.
LARGEST_BACKFILL: Final = 1_000


class OccurrenceStatus(StrEnum):
    RAN = "ran"
    #: Starts when the execution before has ended.
    BUFFERED = "buffered"
    SKIPPED = "skipped"
    #: Nobody was there to start it in time.
    MISSED = "missed"
    BACKFILLED = "backfilled"


class Origin(StrEnum):
    """Who wanted it."""

    CLOCK = "clock"
    BACKFILL = "backfill"
    PERSON = "person"


class Reason(StrEnum):
    """Why a fire was skipped or missed."""

    OVERLAP = "overlap"
    SUPERSEDED = "superseded"
    PAUSED = "paused"
    WORKFLOW_PAUSED = "workflow_paused"
    WORKFLOW_ARCHIVED = "workflow_archived"
    NOT_PUBLISHED = "not_published"
    ORGANIZATION = "organization"
    INPUT = "input"
    WITHDRAWN = "withdrawn"
    LATE = "late"


#: In words, for people.
BECAUSE: Final = {
    Reason.OVERLAP: "the execution before had not ended",
    Reason.SUPERSEDED: "a later one took its place before it could start",
    Reason.PAUSED: "the schedule was paused",
    Reason.WORKFLOW_PAUSED: "the workflow was paused",
    Reason.WORKFLOW_ARCHIVED: "the workflow was archived",
    Reason.NOT_PUBLISHED: "the workflow had no published version",
    Reason.ORGANIZATION: "the organization was not active",
    Reason.INPUT: "its input did not fit the workflow",
    Reason.WITHDRAWN: "the backfill was withdrawn, or the schedule removed",
    Reason.LATE: "nobody was there to start it in time",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What surrounds a schedule at the moment a fire of it is decided."""

    workflow_status: DefinitionStatus
    is_published: bool
    organization_is_active: bool
    paused_at: datetime | None
    #: The execution that its clock started last has not ended.
    is_running: bool
    #: A fire waits for that end.
    has_buffered: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """`status` `ran` means: start it now; `cancels`: the one that runs, `replaces`: the one that waits."""

    status: OccurrenceStatus
    reason: Reason | None = None
    cancels: bool = False
    replaces: bool = False


def decide(plan: Plan, due: datetime, nominal: datetime, now: datetime, standing: Standing) -> Verdict:
    """`due` is the nominal moment and its jitter; lateness is counted from there."""
    if standing.paused_at is not None and nominal >= standing.paused_at:
        return Verdict(OccurrenceStatus.SKIPPED, Reason.PAUSED)
    if plan.after is None and now - due > plan.catch_up + PUNCTUAL:
        return Verdict(OccurrenceStatus.MISSED, Reason.LATE)
    if standing.paused_at is not None:  # nominally before the pause, but put off by its jitter, or late
        return Verdict(OccurrenceStatus.SKIPPED, Reason.PAUSED)
    hindrance = hindered(standing)
    if hindrance is not None:
        return Verdict(OccurrenceStatus.SKIPPED, hindrance)
    if not standing.is_running and not standing.has_buffered:
        return Verdict(OccurrenceStatus.RAN)
    match plan.overlap:
        case Overlap.ALLOW:
            return Verdict(OccurrenceStatus.RAN)
        case Overlap.CANCEL_OTHER:
            return Verdict(OccurrenceStatus.BUFFERED, cancels=True, replaces=standing.has_buffered)
        case Overlap.BUFFER_ONE if not standing.has_buffered:
            return Verdict(OccurrenceStatus.BUFFERED)
    return Verdict(OccurrenceStatus.SKIPPED, Reason.OVERLAP)


def hindered(standing: Standing) -> Reason | None:
    """Why nothing of this schedule can start at all."""
    if not standing.organization_is_active:
        return Reason.ORGANIZATION
    if standing.workflow_status is DefinitionStatus.ARCHIVED:
        return Reason.WORKFLOW_ARCHIVED
    if standing.workflow_status is DefinitionStatus.PAUSED:
        return Reason.WORKFLOW_PAUSED
    if not standing.is_published:
        return Reason.NOT_PUBLISHED
    return None

"""What the execution workflow calls: names, types, timeouts. `activities/executions.py` implements each stub."""

from datetime import timedelta
from typing import Any, Final

from temporalio import activity
from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType, ActivityConfig, LocalActivityConfig

from domain.definitions.commands import StepRecord
from domain.segments import (
    EarlierEvents,
    Ended,
    Ending,
    Pause,
    PauseEnd,
    PendingWait,
    Registered,
    Segment,
    SegmentEnd,
    Waiting,
)

WORKFLOW: Final = "execution"
WORKFLOW_QUEUE: Final = "workflows"
ACTIVITY_QUEUE: Final = "io"
DECIDE: Final = "decide"
PAUSE: Final = "pause"
RESUME: Final = "resume"
EVENT: Final = "event"
ANSWER: Final = "answer"
#: Asks an execution where it stands, in words for its mirror; costs no event.
COURSE: Final = "course"
#: The type of the error by which an activity says that the execution's row is closed already.
EXECUTION_CLOSED: Final = "ExecutionClosed"

#: Only the database can make these fail, and then nothing else is worth doing: repeat until it is back.
_UNTIL_IT_WORKS = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(seconds=5), maximum_attempts=0
)


def segment_config(name: str, summary: str) -> LocalActivityConfig:
    """A segment ends by itself after about a second, but costly ones may queue for the thread that computes."""
    return _local(name, timedelta(minutes=10), summary)


def record_config(name: str, summary: str | None = None) -> LocalActivityConfig:
    """Short transactions of the mirror."""
    return _local(name, timedelta(seconds=30), summary)


def _local(name: str, timeout: timedelta, summary: str | None) -> LocalActivityConfig:
    """`name` becomes the activity id, by which operators read an execution in the Temporal UI.

    The summary is what the UI shows beside it to whoever may decrypt.
    """
    return LocalActivityConfig(
        activity_id=name,
        summary=summary,
        start_to_close_timeout=timeout,
        retry_policy=_UNTIL_IT_WORKS,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


#: Added to an action's own timeout for its two transactions.
MARGIN: Final = timedelta(seconds=20)


def perform_config(name: str, timeout: timedelta, summary: str) -> ActivityConfig:
    """An action runs under its own timeout; the heartbeat notices a lost worker long before that."""
    return ActivityConfig(
        activity_id=name,
        summary=summary,
        task_queue=ACTIVITY_QUEUE,
        start_to_close_timeout=timeout + MARGIN,
        heartbeat_timeout=timedelta(seconds=10),
        retry_policy=RetryPolicy(
            initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30), maximum_attempts=0
        ),
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


@activity.defn
async def run_segment(segment: Segment) -> SegmentEnd:
    """Run short built-ins and the steps between them until a command needs the workflow."""
    raise _stub()


@activity.defn
async def begin_wait(waiting: Waiting) -> Registered:
    """Register waits, and show in the mirror what the execution stands still for."""
    raise _stub()


@activity.defn
async def earlier_events(listen: PendingWait) -> EarlierEvents:
    """The next of the events that were recorded before a step began to listen."""
    raise _stub()


@activity.defn
async def cancel_child(occurrence: str) -> bool:
    """Ask the execution that this occurrence started to end; whether an answer of it is to be waited for."""
    raise _stub()


@activity.defn
async def begin_pause(pause: Pause) -> None:
    """Show in the mirror that the execution holds still, and what it would do next."""
    raise _stub()


@activity.defn
async def end_pause(end: PauseEnd) -> None:
    """Show in the mirror that the execution goes on."""
    raise _stub()


@activity.defn
async def finish_execution(ending: Ending) -> Ended:
    """Commit the outcome, the last steps and everything that follows from them, in one transaction."""
    raise _stub()


@activity.defn
async def record_steps(records: list[StepRecord]) -> None:
    """Write step records that are too many to travel with another activity."""
    raise _stub()


def _stub() -> Any:
    return RuntimeError("a contract was called instead of its implementation; check the worker's wiring")

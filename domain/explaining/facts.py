"""What an explanation is made of, and what it is: plain values, read by whoever asks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

from domain.executions import ExecutionStatus

#: What a person may do about an execution as it stands.
Act: TypeAlias = Literal["decide", "signal", "resume", "cancel", "rerun", "start", "look_up"]


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task that an execution waits for. `candidates` as the task names them; none: whoever may decide tasks."""

    title: str
    occurrence: str
    candidates: Sequence[str] = ()
    quorum: int = 1
    claimed_by: str | None = None
    due_at: datetime | None = None
    on_overdue: str = "keep"
    escalate_at: datetime | None = None
    escalate_to: Sequence[str] = ()
    escalated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LoggedStep:
    occurrence: str
    pointer: str
    name: str
    kind: str
    status: str
    started_at: datetime | None = None
    is_taken_over: bool = False
    attempt: int = 1
    #: When it is tried again, after an attempt that failed with this title.
    retry_at: datetime | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """One execution, as its rows and its definition tell it.

    `waiting_on`, `error` and `definition` as they are stored; `steps` those that are open or failed, and how many
    were undone. `clients` are names by their ids, for candidates that are clients.
    """

    status: ExecutionStatus
    created_at: datetime
    now: datetime
    zone: ZoneInfo
    definition: Any = None
    waiting_on: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    error_message: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    stalled_since: datetime | None = None
    steps: Sequence[LoggedStep] = ()
    undone: int = 0
    tasks: Sequence[OpenTask] = ()
    clients: Mapping[str, str] = field(default_factory=dict)
    #: The execution it waits for, if it waits for one.
    child_status: str | None = None
    #: The step from which it repeats another one.
    rerun_from: str | None = None
    #: Executions that repeat this one.
    reruns: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """`headline` says it in one sentence, `more` what else there is to know; `until` is the moment it speaks of."""

    headline: str
    more: tuple[str, ...] = ()
    until: datetime | None = None
    acts: tuple[Act, ...] = ()

    @property
    def text(self) -> str:
        return " ".join([self.headline, *self.more])

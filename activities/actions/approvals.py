"""Asking people: the published forms of `approve` and `ask`; the engine registers the task and waits for the answer."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, JsonValue, model_validator

from activities.actions.context import ActionContext
from activities.actions.declaration import Arguments, Result, action
from domain.actions import Effect, Lane
from domain.definitions import durations
from domain.definitions.schemas import SchemaRefused, compile_schema
from domain.executions import TaskOutcome
from domain.tasks import Candidate, OnOverdue

_YEAR = timedelta(days=365)


def _candidate(text: str) -> str:
    return str(Candidate.parse(text))


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        compile_schema(schema)
    except SchemaRefused as refusal:
        raise ValueError(f"the form is not a usable JSON Schema: {refusal}") from None
    return schema


def _due(value: str | dict[str, Any]) -> str | dict[str, Any]:
    durations.parse(value, allow_zero=False)
    return value


Duration = Annotated[
    str | dict[str, JsonValue], Field(json_schema_extra={"format": "duration"}), AfterValidator(_due)
]
Candidates = Annotated[
    list[Annotated[str, Field(max_length=320), AfterValidator(_candidate)]], Field(max_length=50)
]
Form = Annotated[
    dict[str, JsonValue],
    Field(description="JSON Schema of the data to fill in", json_schema_extra={"format": "json-schema"}),
    AfterValidator(_form),
]


class Escalation(Arguments):
    """Who is asked as well, and when: `after` the task has been open for so long, else when it is due."""

    to: Annotated[Candidates, Field(min_length=1)]
    after: Duration | None = None
    at: Literal["due"] | None = None


class _Task(Arguments):
    """What the person sees, who that may be, and until when."""

    title: Annotated[str, Field(min_length=1, max_length=300)]
    description: Annotated[str, Field(max_length=10_000)] | None = None
    assignees: Annotated[
        Candidates,
        Field(
            description="user:<e-mail address>, role:<name> or client:<id>; nobody: everybody who may decide tasks"
        ),
    ] = []
    candidates: Annotated[Candidates, Field(description="Another word for `assignees`")] = []
    arguments: Annotated[
        JsonValue, Field(description="What is decided about: shown, and bound to the decision by its digest")
    ] = None
    four_eyes: Annotated[
        bool
        | Annotated[
            list[Literal[True] | Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=20)
        ],
        Field(
            description="true: not who started the execution; names of steps: nobody who decided one of them; "
            "a list may hold both"
        ),
    ] = False
    due: Annotated[Duration | None, Field(json_schema_extra={"format": "duration"})] = None
    reminders: Annotated[
        list[Duration], Field(max_length=10, description="How long before it is due candidates are reminded")
    ] = []
    escalate: Escalation | None = None
    links: Annotated[
        bool, Field(description="Members, too, are mailed a link by which they decide without signing in")
    ] = False
    #: What each kind of task may say here, it says itself.
    on_overdue: OnOverdue = OnOverdue.KEEP

    @property
    def asked(self) -> list[str]:
        return list(dict.fromkeys(self.assignees or self.candidates))

    @model_validator(mode="after")
    def _consistent(self) -> "_Task":
        if self.assignees and self.candidates:
            raise ValueError("`assignees` and `candidates` are two words for one thing; write one of them")
        if self.due is None:
            if self.reminders:
                raise ValueError("`reminders` come before the task is due; add `due`")
            if self.escalate is not None and self.escalate.after is None:
                raise ValueError("`escalate` needs `after`, or the task `due`")
            if self.ends_when_due:
                raise ValueError("`on_overdue` says what happens when the task is due; add `due`")
        if self.escalate is not None and self.escalate.after is not None and self.escalate.at is not None:
            raise ValueError("`escalate` happens `after` a while or `at: due`, not both")
        if self.escalate is not None and self.escalate.after is None and self.ends_when_due:
            raise ValueError(
                "a task that ends when it is due is not escalated then; give `escalate` an `after` that comes before"
            )
        if (self.reminders or self.links) and not self.asked:
            what = "reminders" if self.reminders else "links"
            raise ValueError(f"`{what}` are mailed to candidates; name them with `assignees`")
        return self

    @property
    def ends_when_due(self) -> bool:
        return self.on_overdue is not OnOverdue.KEEP


class Approve(_Task):
    """Without assignees everybody who may decide tasks can decide."""

    form: Annotated[Form | None, Field(json_schema_extra={"format": "json-schema"})] = None
    quorum: Annotated[
        int, Field(ge=1, le=20, description="How many different people approve; one rejection rejects")
    ] = 1
    on_overdue: Annotated[
        OnOverdue,
        Field(description="When nobody decided in time: fail with error 408, reject, or keep it open"),
    ] = OnOverdue.KEEP


class Ask(_Task):
    """The form is what the person fills in."""

    form: Form
    on_overdue: Annotated[
        Literal[OnOverdue.FAIL, OnOverdue.KEEP],
        Field(description="When nobody answered in time: fail with error 408, or keep it open"),
    ] = OnOverdue.KEEP


class Word(Result):
    """What one of several people said."""

    outcome: Literal[TaskOutcome.APPROVED, TaskOutcome.REJECTED]
    approved: bool
    comment: str | None
    data: dict[str, JsonValue] | None
    decided_by: UUID | None
    decided_by_client: UUID | None = None
    decided_at: datetime


class Decision(Word):
    """`decided_by` is null when a client decided (`decided_by_client`), or the deadline (`overdue`)."""

    decisions: list[Word] | None = Field(None, description="Everybody's word, where several have to approve")
    overdue: bool | None = None


class Submission(Result):
    outcome: Literal[TaskOutcome.SUBMITTED]
    comment: str | None
    data: JsonValue
    decided_by: UUID | None
    decided_by_client: UUID | None = None
    decided_at: datetime


@action(
    "approve",
    version="1.0.0",
    title="Ask for approval",
    effect=Effect.IDEMPOTENT,
    lane=Lane.TASK,
    timeout=_YEAR,
)
async def approve(context: ActionContext, arguments: Approve) -> Decision:
    """Put a task into people's inbox and wait until one of them (or several) approves or rejects it."""
    raise RuntimeError("a task waits for a person; the engine registers it instead of running it")


@action(
    "ask",
    version="1.0.0",
    title="Ask somebody to fill in a form",
    effect=Effect.IDEMPOTENT,
    lane=Lane.TASK,
    timeout=_YEAR,
)
async def ask(context: ActionContext, arguments: Ask) -> Submission:
    """Put a form into people's inbox, or mail it to a client, and wait until one of them has filled it in."""
    raise RuntimeError("a task waits for a person; the engine registers it instead of running it")

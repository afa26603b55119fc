"""All that the page of one task shows: what is asked, about what, who may, and what has happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.console.frame.jsonview import JsonView, json_view
from api.console.frame.shell import Visit
from api.console.home.facts import Fact, answers_of, facts_of
from api.console.tasks.taskwords import Telling
from db.inbox import Inbox
from db.people import names_of
from db.taskdeciders import Deciders
from db.taskhistory import TaskEvents
from domain.errors import DomainError
from domain.executions import TaskStatus
from domain.forms import Form, form_of
from domain.permissions import Permission
from domain.tasks import FORM
from domain.tasks.history import WORDS
from domain.tasks.sight import sees_every_task

#: Members offered by name; where there are more, or they are nothing for the visitor to see, an address is typed.
MOST_COLLEAGUES: Final = 100


@dataclass(frozen=True, slots=True)
class Sheet:
    """`obstacle` says why the visitor cannot decide now; `approvals` are those given of the `quorum` needed."""

    task: RowMapping
    telling: Telling
    form: Form | None
    facts: Sequence[Fact]
    whole: JsonView | None
    events: Sequence[RowMapping]
    words: Sequence[RowMapping]
    candidates: Sequence[str]
    escalates_to: Sequence[str]
    obstacle: DomainError | None
    may_decide: bool
    may_claim: bool
    may_release: bool
    may_delegate: bool
    may_comment: bool
    colleagues: Sequence[RowMapping]
    answers: JsonView | None
    answered: Sequence[Fact]

    @property
    def is_open(self) -> bool:
        return bool(self.task["status"] == TaskStatus.OPEN)

    @property
    def is_form(self) -> bool:
        """Whether it is filled in rather than approved or rejected."""
        return bool(self.task["kind"] == FORM)

    @property
    def is_overdue(self) -> bool:
        due: datetime | None = self.task["due_at"]
        return self.is_open and due is not None and due <= self.telling.now


async def sheet_of(visitor: Visit, tx: AsyncConnection, id: UUID, now: datetime) -> Sheet:
    """Raises NotFound."""
    task = await Inbox(tx).one(id)
    events = await TaskEvents(tx).page(id)
    decider = visitor.decider
    may_judge = visitor.may(Permission.TASKS_DECIDE)
    obstacle = await Deciders(tx).obstacle(task, decider, at=now)
    is_open = task["status"] == TaskStatus.OPEN
    may_decide = is_open and may_judge and obstacle is None
    is_mine = task["claimed_by"] == decider.user_id
    sees_every = sees_every_task(visitor.caller.permissions)
    may_move = is_open and may_judge and (obstacle is None or obstacle.code == "four_eyes")
    form = form_of(task["form"], zone=visitor.zone) if task["form"] is not None else None
    data = (task["decision"] or {}).get("data")
    telling = await _telling(visitor, tx, task, events, now)
    called = telling.called
    return Sheet(
        task=task,
        telling=telling,
        form=form,
        facts=facts_of(task["arguments"]),
        whole=json_view(task["arguments"], None) if task["arguments_digest"] is not None else None,
        events=events,
        words=[event for event in events if event["kind"] in WORDS],
        candidates=[called[name] for name in task["assignees"]],
        escalates_to=[called[name] for name in task["escalate_to"]],
        obstacle=telling.refusal(obstacle, task) if obstacle is not None and is_open else None,
        may_decide=may_decide,
        may_claim=may_decide and task["claimed_by"] is None and task["quorum"] == 1,
        may_release=is_open
        and task["claimed_by"] is not None
        and (is_mine or visitor.may(Permission.EXECUTIONS_CONTROL)),
        may_delegate=may_move,
        may_comment=may_judge,
        colleagues=await Inbox(tx).colleagues(MOST_COLLEAGUES + 1) if may_move and sees_every else (),
        answers=json_view(data, None) if data is not None else None,
        answered=answers_of(form, data) if form is not None else facts_of(data),
    )


async def _telling(
    visitor: Visit, tx: AsyncConnection, task: RowMapping, events: Sequence[RowMapping], now: datetime
) -> Telling:
    ids = {task["claimed_by"], task["decided_by"], *(event["user_id"] for event in events)}
    named = {*task["assignees"], *task["escalate_to"], *_named_in(events)}
    clients = {task["decided_by_client"], *(event["client_id"] for event in events)} - {None}
    called = await Inbox(tx).candidates(named | {f"client:{id}" for id in clients})
    if not visitor.may(Permission.CLIENTS_READ):
        called = {name: "a client" if name.startswith("client:") else said for name, said in called.items()}
    return Telling(visitor.zone, now, visitor.caller.user_id, await names_of(tx, ids), called)


def _named_in(events: Sequence[Mapping[Any, Any]]) -> set[str]:
    found: set[str] = set()
    for event in events:
        to = event["about"].get("to") or []
        found |= {to} if isinstance(to, str) else {each for each in to if isinstance(each, str)}
    return found

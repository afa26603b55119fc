"""Tasks: work an execution has for a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ColumnElement,
    DateTime,
    Index,
    RowMapping,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    case,
    cast,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import (
    Base,
    CreatedAt,
    Id,
    JsonValue,
    No,
    Tenant,
    UpdatedAt,
    UserRef,
    Words,
    one_of,
    tenant_key,
    within,
)
from db.executions import WorkflowExecution
from db.outbox import Outbox, OutboxEntry, OutboxRow
from db.rows import Before, many, newest_first, one
from db.taskcandidates import Candidates
from db.taskhistory import TaskEvents, TaskLinks
from domain.errors import Conflict, DomainError, Forbidden, Invalid, Problem
from domain.executions import OutboxKind, TaskOutcome, TaskStatus
from domain.ids import derived_id
from domain.tasks import (
    AlreadyDecided,
    Candidate,
    CandidateKind,
    Decider,
    Decision,
    OnOverdue,
    TaskClaimed,
    TaskClosed,
    is_same_word,
    overdue,
    require_arguments,
    require_assigned,
    require_form,
    require_in_time,
    require_other_eyes,
    require_outcome,
    require_repeat,
    require_unclaimed,
)
from domain.tasks.history import TaskEventKind

Moments = Annotated[
    list[datetime], mapped_column(ARRAY(DateTime(timezone=True)), server_default=text("'{}'"))
]


class Task(Tenant, Base):
    __tablename__ = "tasks"
    __table_args__ = (
        tenant_key(),
        within("execution_id", "workflow_executions", ondelete="CASCADE"),
        within("decided_by_client", "clients", ondelete="SET NULL (decided_by_client)"),
        UniqueConstraint("organization_id", "execution_id", "occurrence"),
        Index(None, "organization_id", "status", "created_at", "id"),
        Index(None, "organization_id", "decided_by_client"),
        Index(
            "ix_tasks_next_due",
            "next_due",
            postgresql_where=text("status = 'open' AND next_due IS NOT NULL"),
        ),
        one_of("status", TaskStatus),
        one_of("outcome", TaskOutcome),
        one_of("on_overdue", OnOverdue),
        CheckConstraint("(status = 'decided') = (outcome IS NOT NULL)", name="outcome_when_decided"),
        CheckConstraint("quorum BETWEEN 1 AND 20", name="quorum"),
        CheckConstraint("(claimed_by IS NULL) = (claimed_at IS NULL)", name="claimed"),
        CheckConstraint("status <> 'expired' OR decision IS NOT NULL", name="expired_says_why"),
    )

    id: Mapped[Id]
    execution_id: Mapped[UUID | None]
    occurrence: Mapped[str]
    #: The name of the step that waits.
    step: Mapped[str | None]
    #: `approval` (approved or rejected) or `form` (submitted).
    kind: Mapped[str]
    title: Mapped[str]
    description: Mapped[str | None]
    #: JSON Schema of what the person fills in.
    form: Mapped[JsonValue]
    #: What is decided about, as shown; a decision names its digest (SHA-256 of its canonical form).
    arguments: Mapped[JsonValue]
    arguments_digest: Mapped[str | None]
    #: Candidates: "user:<email>", "role:<name>", "client:<id>"; empty means anybody with the permission.
    assignees: Mapped[Words]
    #: Whoever started the execution may not decide.
    four_eyes: Mapped[No]
    #: Whoever decided one of these steps may not decide.
    four_eyes_steps: Mapped[Words]
    #: How many different people have to approve.
    quorum: Mapped[int] = mapped_column(server_default="1")
    #: Members, too, are mailed a link by which they decide without signing in.
    links: Mapped[No]
    #: Who took the task upon themselves: nobody else decides it meanwhile.
    claimed_by: Mapped[UserRef | None]
    claimed_at: Mapped[datetime | None]
    status: Mapped[str] = mapped_column(server_default=TaskStatus.OPEN)
    outcome: Mapped[str | None]
    decision: Mapped[JsonValue]
    decided_by: Mapped[UserRef | None]
    decided_by_client: Mapped[UUID | None]
    decided_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    #: What becomes of it at `due_at`: fail, reject or keep (open).
    on_overdue: Mapped[str] = mapped_column(server_default=OnOverdue.KEEP)
    #: Reminders that are still to be sent.
    remind_at: Mapped[Moments]
    #: When `escalate_to` are asked as well; `escalated_at` says that they were.
    escalate_at: Mapped[datetime | None]
    escalate_to: Mapped[Words]
    escalated_at: Mapped[datetime | None]
    #: When it was noted that `due_at` had passed.
    overdue_at: Mapped[datetime | None]
    #: When candidates were told by mail that it is there.
    announced_at: Mapped[datetime | None]
    #: The earliest moment at which something is to be done about it while it is open.
    next_due: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


#: A claim counts while its holder is an active member who may decide tasks: no open task waits for somebody who left.
_COUNTS: Final = or_(
    Task.status != TaskStatus.OPEN,
    and_(
        Task.claimed_by.is_not(None),
        func.app.decides_tasks(Task.organization_id, Task.claimed_by, type_=Boolean()),
    ),
)
#: The columns of a task as everybody is to see them: with the claim only where it counts.
TASK: Final = tuple(
    case((_COUNTS, each)).label(each.name) if each.name in ("claimed_by", "claimed_at") else each
    for each in Task.__table__.c
)


def is_free_for(decider: Decider) -> ColumnElement[bool]:
    """Whether nobody else has a claim on the task that counts."""
    held_by = case((_COUNTS, Task.claimed_by))
    return or_(held_by.is_(None), held_by == decider.user_id)


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task as the engine registers it; `id` comes from the occurrence, so registering twice is harmless."""

    id: UUID
    organization_id: UUID
    execution_id: UUID
    occurrence: str
    kind: str
    title: str
    step: str | None = None
    description: str | None = None
    form: Mapping[str, Any] | None = None
    assignees: Sequence[str] = ()
    arguments: Any = None
    arguments_digest: str | None = None
    four_eyes: bool = False
    four_eyes_steps: Sequence[str] = ()
    quorum: int = 1
    links: bool = False
    due_at: datetime | None = None
    on_overdue: OnOverdue = OnOverdue.KEEP
    remind_at: Sequence[datetime] = ()
    escalate_at: datetime | None = None
    escalate_to: Sequence[str] = ()
    next_due: datetime | None = None


@dataclass(frozen=True, slots=True)
class TaskFilters:
    """`decider` narrows to this person's: assigned to them, to their role, or to nobody, and claimed by nobody else."""

    status: TaskStatus | None = None
    execution_id: UUID | None = None
    decider: Decider | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """The task as it stands; `entry` is to be dispatched after the commit (None: nobody has to be told)."""

    task: RowMapping
    entry: OutboxEntry | None


class Tasks:
    """The inbox of the organization the transaction belongs to."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    @property
    def connection(self) -> AsyncConnection:
        """For what belongs into the same transaction."""
        return self._tx

    async def register(self, new: NewTask, **about: Any) -> bool:
        """Open a task, again if it had been cancelled (by an end that a reset undid); False when it stands already.

        `about` is what its history begins with.
        """
        given = {field.name: getattr(new, field.name) for field in fields(new)}
        given |= {name: [each.lower() for each in given[name]] for name in ("assignees", "escalate_to")}
        given |= {name: list(given[name]) for name in ("four_eyes_steps", "remind_at")}
        statement = insert(Task).values(given)
        again: dict[str, Any] = {name: statement.excluded[name] for name in given if name not in _IDENTITY}
        result = await self._tx.execute(
            statement.on_conflict_do_update(
                index_elements=[Task.id], set_={**again, **_AFRESH}, where=Task.status == TaskStatus.CANCELLED
            )
        )
        if result.rowcount != 1:
            return False
        row = {"id": new.id, "organization_id": new.organization_id}
        await TaskEvents(self._tx).note(row, TaskEventKind.OPENED, **about)
        return True

    async def shown(self, execution_id: UUID, occurrence: str) -> dict[str, Any]:
        """What an execution's row says of the task it waits for."""
        statement = select(Task).where(Task.execution_id == execution_id, Task.occurrence == occurrence)
        task = one(await self._tx.execute(statement))
        shown = {"task_id": str(task["id"]), "title": task["title"], "assignees": task["assignees"]}
        return shown if task["due_at"] is None else {**shown, "due_at": task["due_at"].isoformat()}

    async def tell_again(self, execution_id: UUID, occurrences: Sequence[str], run_id: str) -> None:
        """Tell a run that a reset began what was decided in an earlier one; people are not asked twice.

        Telling it twice changes nothing.
        """
        decided = (
            Task.execution_id == execution_id,
            Task.occurrence.in_(occurrences),
            Task.status.in_((TaskStatus.DECIDED, TaskStatus.EXPIRED)),
        )
        for task in (await self._tx.execute(_with_execution.where(*decided))).mappings():
            told = _decision(task, task["temporal_workflow_id"], f"{task['id']}/decision/{run_id}")
            known = select(OutboxRow.id).where(OutboxRow.id == told.id)
            if await self._tx.scalar(known) is None:
                await Outbox(self._tx).add(told)

    async def get(self, id: UUID) -> RowMapping:
        """All columns, the claim as it counts; raises NotFound."""
        return one(await self._tx.execute(select(*TASK).where(Task.id == id)))

    async def page(self, filters: TaskFilters, *, before: Before | None, limit: int) -> Sequence[RowMapping]:
        """Newest first, after the row `before`."""
        statement = newest_first(select(*TASK), Task.created_at, Task.id, before).limit(limit)
        if filters.status is not None:
            statement = statement.where(Task.status == filters.status)
        if filters.execution_id is not None:
            statement = statement.where(Task.execution_id == filters.execution_id)
        if filters.decider is not None:
            names = cast(list(filters.decider.names), ARRAY(Text()))
            assigned = or_(Task.assignees == [], Task.assignees.overlap(names))
            free = or_(is_free_for(filters.decider), Task.status != TaskStatus.OPEN)
            statement = statement.where(assigned, free)
        return await many(self._tx, statement)

    async def decide(self, id: UUID, decision: Decision, decider: Decider, *, at: datetime) -> Decided:
        """Say one's word about a task; the one that closes it is queued for its execution.

        The one way by which anybody decides: API, pages and links come here, and every rule is judged while the
        row is locked. The same word by the same person again changes nothing and answers the same. Raises
        NotFound, Forbidden (assigned to others, may not decide tasks), FourEyes, Invalid (outcome, digest or
        `data` do not fit), TaskClosed, TaskOverdue, TaskClaimed, ArgumentsChanged, AlreadyDecided.
        """
        task = await self._locked(id)
        require_assigned(task["assignees"], decider)
        words = await TaskEvents(self._tx).words(id)
        own = next((word for word in words if _is_of(word, decider)), None)
        if task["status"] != TaskStatus.OPEN:
            require_repeat(decision, decider, task["status"], task["decision"], own)
            return Decided(await self.get(id), None)
        if own is not None:
            if not is_same_word(decision, own):
                raise AlreadyDecided(
                    f"You have {own['outcome']} this task at {own['created_at'].isoformat()}; everybody's word "
                    "counts once."
                )
            return Decided(await self.get(id), None)
        await self._require_able(task, decider, at)
        require_outcome(task, decision)
        require_arguments(task, decision)
        require_form(task["form"], decision)
        before = None if task["quorum"] == 1 else [_said(word) for word in words]
        given = {
            "outcome": decision.outcome.value,
            "comment": decision.comment,
            "data": decision.data,
            "arguments_digest": decision.arguments_digest,
            "decision": decision.as_json(decider, at, before=before),
        }
        await self._decide(id, given, decider, at)
        await TaskLinks(self._tx).used(id, decider, at)
        return await self._told(id, task["temporal_workflow_id"])

    async def expire(self, id: UUID, *, at: datetime) -> Decided | None:
        """Close a task that its deadline ends; None when somebody was quicker, or it stays open. A worker alone."""
        task = await self._locked(id)
        passed = task["due_at"] is not None and task["due_at"] <= at
        if task["status"] != TaskStatus.OPEN or task["on_overdue"] == OnOverdue.KEEP or not passed:
            return None
        await self._decide(id, {"decision": overdue(task, at)}, Decider(None), at)
        await TaskEvents(self._tx).note(task, TaskEventKind.EXPIRED, on_overdue=task["on_overdue"])
        return await self._told(id, task["temporal_workflow_id"])

    async def obstacle(
        self, task: Mapping[Any, Any], decider: Decider, *, at: datetime
    ) -> DomainError | None:
        """Why this person could not decide the task now, whatever they said; None when they could."""
        try:
            require_assigned(task["assignees"], decider)
            if task["status"] != TaskStatus.OPEN:
                return TaskClosed()
            await self._require_able(task, decider, at)
            words = await TaskEvents(self._tx).words(task["id"]) if task["quorum"] > 1 else ()
            if any(_is_of(word, decider) for word in words):
                return AlreadyDecided("You have approved this; others still have to.")
        except DomainError as error:
            return error
        return None

    async def claim(self, id: UUID, decider: Decider, *, at: datetime) -> RowMapping:
        """Take a task upon oneself: nobody else decides it until it is released. Again changes nothing.

        Raises what `decide` raises for a person who may not decide, and Conflict for one that several decide.
        """
        task = await self._open(id)
        require_assigned(task["assignees"], decider)
        await self._require_able(task, decider, at)
        if task["quorum"] > 1:
            raise Conflict(
                f"{task['quorum']} people decide this task, so nobody can have it alone; just decide it."
            )
        if task["claimed_by"] is None:
            await self._move(id, claimed_by=decider.user_id, claimed_at=at)
            await TaskEvents(self._tx).note(task, TaskEventKind.CLAIMED, by=decider)
        return await self.get(id)

    async def release(self, id: UUID, decider: Decider, *, for_others: bool = False) -> RowMapping:
        """Give a claimed task back to all candidates; with `for_others` also one that somebody else has claimed.

        Raises TaskClaimed, TaskClosed. One that nobody has claimed stays as it is.
        """
        task = await self._open(id)
        if task["claimed_by"] is None:
            return await self.get(id)
        if task["claimed_by"] != decider.user_id and not for_others:
            raise TaskClaimed(
                f"User {task['claimed_by']} has claimed this task; they can release it, or somebody who may "
                "control executions."
            )
        await self._move(id, claimed_by=None, claimed_at=None)
        about = {} if task["claimed_by"] == decider.user_id else {"of": str(task["claimed_by"])}
        await TaskEvents(self._tx).note(task, TaskEventKind.RELEASED, by=decider, **about)
        return await self.get(id)

    async def delegate(
        self, id: UUID, decider: Decider, to: str, *, at: datetime, comment: str | None = None
    ) -> RowMapping:
        """Hand a task to a member who may decide it: from now on it is theirs (where one person decides).

        `to` is an e-mail address, with or without `user:`. Raises Invalid at #/to when that member may not decide
        it, and what `decide` raises for a delegator who may not decide, save for four eyes.
        """
        task = await self._open(id)
        require_assigned(task["assignees"], decider)
        await self._require_able(task, decider, at, four_eyes=False)
        delegate = await self._delegate(task, decider, to)
        mine: dict[str, Any] = (
            {} if task["quorum"] > 1 else {"claimed_by": delegate.user_id, "claimed_at": at}
        )
        name = delegate.names[0]
        if task["assignees"] and name not in task["assignees"]:
            mine["assignees"] = [*task["assignees"], name]
        await self._move(id, **mine)
        about = {"to": name}
        await TaskEvents(self._tx).note(task, TaskEventKind.DELEGATED, by=decider, comment=comment, **about)
        return await self.get(id)

    async def comment(self, id: UUID, decider: Decider, words: str) -> RowMapping:
        """Say something about a task, open or closed, to whoever reads it; the line. Raises NotFound."""
        task = one(await self._tx.execute(select(Task.id, Task.organization_id).where(Task.id == id)))
        return await TaskEvents(self._tx).note(task, TaskEventKind.COMMENTED, by=decider, comment=words)

    async def _delegate(self, task: RowMapping, decider: Decider, to: str) -> Decider:
        try:
            wanted = Candidate.parse(to if ":" in to else f"user:{to}")
        except ValueError as error:
            raise _bad_delegate(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
        if wanted.kind is not CandidateKind.USER:
            raise _bad_delegate("A task is delegated to a member, not to a role or a client.")
        found = await Candidates(self._tx).resolve([str(wanted)])
        if found.unknown:
            raise _bad_delegate(f"{found.unknown[str(wanted)]}.")
        [person] = found.people
        if person.user_id == decider.user_id:
            raise _bad_delegate("That is you.")
        delegate = Decider(person.user_id, person.email, person.role)
        try:
            require_other_eyes(await self._barred(task), delegate)
        except DomainError as error:
            raise _bad_delegate(error.message) from None
        return delegate

    async def _require_able(
        self, task: Mapping[Any, Any], decider: Decider, at: datetime, *, four_eyes: bool = True
    ) -> None:
        """Whoever may not decide this open task for whatever reason but its contents."""
        if decider.user_id is not None and not await Candidates(self._tx).may_decide(decider.user_id):
            raise Forbidden("You may not decide tasks; ask an administrator of the organization.")
        require_in_time(task, at)
        if four_eyes:
            require_other_eyes(await self._barred(task), decider)
        require_unclaimed(task, decider)

    async def barred(self, id: UUID) -> Sequence[RowMapping]:
        """Whom four eyes keep from a task: user_id or client_id, and the step they decided (None: started it)."""
        return (await self._tx.execute(_BARRED, {"id": id})).mappings().all()

    async def _barred(self, task: Mapping[Any, Any]) -> Sequence[RowMapping]:
        if not task["four_eyes"] and not task["four_eyes_steps"]:
            return ()
        return await self.barred(task["id"])

    async def _locked(self, id: UUID) -> RowMapping:
        """The row, held until the transaction ends: whoever decides, claims or moves it takes turns."""
        return one(await self._tx.execute(_with_execution.where(Task.id == id).with_for_update(of=Task)))

    async def _open(self, id: UUID) -> RowMapping:
        task = await self._locked(id)
        if task["status"] != TaskStatus.OPEN:
            raise TaskClosed(f"This task is {task['status']}; nothing about it changes any more.")
        return task

    async def _move(self, id: UUID, **values: Any) -> None:
        await self._tx.execute(update(Task).where(Task.id == id).values(**values))

    async def _decide(self, id: UUID, given: Mapping[str, Any], decider: Decider, at: datetime) -> None:
        """The database judges once more, and writes: no other statement may. Raises Forbidden."""
        person = {
            "user_id": None if decider.user_id is None else str(decider.user_id),
            "client_id": None if decider.client_id is None else str(decider.client_id),
            "at": at.isoformat(),
        }
        try:
            await self._tx.execute(_DECIDE, {"id": id, "given": {**given, **person}})
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _DENIED:
                raise
            raise Forbidden(  # whoever asked was looked up earlier than the database did
                "What you may decide has changed in the meantime, and nothing was recorded. Read the task again."
            ) from error

    async def _told(self, id: UUID, workflow_id: str | None) -> Decided:
        """Queue the word to the execution, once the task is closed; a task of no execution is told nobody."""
        task = await self.get(id)
        if task["status"] == TaskStatus.OPEN or workflow_id is None:
            return Decided(task, None)
        entry = _decision(task, workflow_id, f"{task['id']}/decision")
        await Outbox(self._tx).add(entry)
        return Decided(task, entry)


def _bad_delegate(message: str) -> Invalid:
    mend = "Name an active member of your organization who may decide this task, by e-mail address."
    return Invalid(problems=[Problem("#/to", message, mend, "not_a_delegate")])


def _is_of(word: Mapping[Any, Any], decider: Decider) -> bool:
    if decider.user_id is not None:
        return bool(word["user_id"] == decider.user_id)
    return decider.client_id is not None and bool(word["client_id"] == decider.client_id)


def _said(word: Mapping[Any, Any]) -> dict[str, Any]:
    """A word that did not close the task, as those that did are told."""
    decision = Decision(TaskOutcome(word["outcome"]), word["comment"], word["data"])
    return decision.as_json(Decider(word["user_id"], client_id=word["client_id"]), word["created_at"])


def _decision(task: RowMapping, workflow_id: str, key: str) -> OutboxEntry:
    return OutboxEntry(
        id=derived_id(key),
        organization_id=task["organization_id"],
        execution_id=task["execution_id"],
        kind=OutboxKind.SIGNAL,
        workflow_id=workflow_id,
        payload={
            "signal": "decide",
            "arguments": {
                "task_id": str(task["id"]),
                "occurrence": task["occurrence"],
                "decision": task["decision"],
            },
        },
    )


_with_execution = select(*TASK, WorkflowExecution.temporal_workflow_id).outerjoin_from(
    Task,
    WorkflowExecution,
    and_(
        WorkflowExecution.organization_id == Task.organization_id, WorkflowExecution.id == Task.execution_id
    ),
)
#: What a task that is opened again keeps, and what it forgets.
_IDENTITY = frozenset({"id", "organization_id", "execution_id", "occurrence"})
_AFRESH: Mapping[str, Any] = {
    "status": TaskStatus.OPEN,
    "claimed_by": None,
    "claimed_at": None,
    "escalated_at": None,
    "overdue_at": None,
    "announced_at": None,
}
_DENIED: Final = "42501"
_BARRED = text("SELECT user_id, client_id, step FROM app.barred_from_task(:id)")
_DECIDE = text("SELECT app.decide_task(:id, :given)").bindparams(bindparam("given", type_=JSONB))

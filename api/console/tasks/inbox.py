"""The inbox: tasks that wait for people, and the page on which one is read, claimed, delegated and decided."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.console.frame.shell import PageRoute, Sent, Visit, Visitor, identifier
from api.console.tasks.answering import COMMENT_LENGTH, comment_in, decision_of, filled_in
from api.console.tasks.tasksheet import MOST_COLLEAGUES, sheet_of
from api.console.tasks.taskwords import DEED, Telling
from api.mailing import send
from api.pagination import Paging
from api.tasktalk import tell_delegate
from db.inbox import Inbox
from db.outbox import OutboxEntry
from db.people import names_of
from db.taskdeciding import Deciding
from db.taskhandling import Handling
from db.taskhistory import TaskEvents
from db.tasks import Tasks
from domain.errors import DomainError, Invalid, NotFound
from domain.forms import Filled, filled_with
from domain.permissions import Permission
from domain.tasks.sight import sees_every_task

router = APIRouter(route_class=PageRoute, include_in_schema=False)

MOST_WAITING: Final = 100
TABS: Final = (
    ("Waiting for you", "/tasks"),
    ("All open", "/tasks?show=open"),
    ("Closed", "/tasks?show=closed"),
)
NOTICES: Final = {
    "claimed": "The task is yours: nobody else decides it until you do, delegate it or release it.",
    "released": "The task was released: every candidate may decide it again.",
    "delegated": "The task was delegated.",
    "commented": "Your comment was added.",
}


@router.get("/tasks")
async def inbox(visitor: Visitor, paging: Paging, show: str = "", decided: str = "") -> Response:
    visitor.require(Permission.TASKS_READ)
    show = show if show in ("open", "closed") else ""
    now = visitor.parts.clock()
    async with visitor.transaction() as tx:
        reader = Inbox(tx)
        if show:
            rows = await reader.page(is_open=show == "open", before=paging.before, limit=paging.fetch)
            page = paging.page(rows, lambda row: (row["created_at"], row["id"]), dict)
            rows, cursor = page["items"], page["next_cursor"]
        else:
            rows, cursor = await reader.waiting_for(visitor.decider, MOST_WAITING + 1), None
        ids = [row["id"] for row in rows]
        answered = await reader.answered(visitor.caller.user_id, ids)
        people = await names_of(tx, (row[name] for row in rows for name in ("claimed_by", "decided_by")))
        done = await _decided(visitor, tx, decided)
    return visitor.render(
        "tasks/inbox.html",
        tabs_shown=TABS,
        sees_every=sees_every_task(visitor.caller.permissions),
        here=f"/tasks?show={show}" if show else "/tasks",
        show=show,
        rows=rows[:MOST_WAITING] if not show else rows,
        has_more=not show and len(rows) > MOST_WAITING,
        next=f"/tasks?{urlencode({'show': show, 'cursor': cursor})}" if cursor else None,
        answered=answered,
        telling=Telling(visitor.zone, now, visitor.caller.user_id, people, {}),
        me=visitor.caller.user_id,
        done=done,
    )


@router.get("/tasks/{task_id}")
async def task(visitor: Visitor, task_id: str, done: str = "") -> Response:
    visitor.require(Permission.TASKS_READ)
    return await _page(visitor, identifier(task_id), notice=NOTICES.get(done))


@router.post("/tasks/{task_id}/decision")
async def decide(visitor: Visitor, task_id: str) -> Response:
    visitor.require(Permission.TASKS_READ, Permission.TASKS_DECIDE)
    sent = await visitor.form()
    id = identifier(task_id)
    async with visitor.transaction() as tx:
        sheet = await sheet_of(visitor, tx, id, visitor.parts.clock())
    filled = filled_in(sheet.form, sent)
    if sheet.is_open and filled is not None and not filled.is_complete:
        return await _page(visitor, id, sent=sent, filled=filled, status=422 if filled.problems else 200)
    try:
        decision = decision_of(sent, filled, is_form=sheet.is_form)
        async with visitor.transaction() as tx:
            decided = await Deciding(tx).decide(id, decision, visitor.decider, at=visitor.parts.clock())
    except DomainError as refusal:
        return await _page(visitor, id, sent=sent, filled=filled, refusal=refusal)
    if decided.entry is not None:
        await visitor.parts.dispatcher.dispatch(decided.entry)
    # A redirect, so that reloading the page sends nothing again.
    return visitor.to("/tasks", decided=str(id))


@router.post("/tasks/{task_id}/claim")
async def claim(visitor: Visitor, task_id: str) -> Response:
    async def work(handling: Handling, id: UUID, _sent: Sent) -> None:
        await handling.claim(id, visitor.decider, at=visitor.parts.clock())

    return await _moved(visitor, task_id, work, "claimed")


@router.post("/tasks/{task_id}/release")
async def release(visitor: Visitor, task_id: str) -> Response:
    for_others = visitor.may(Permission.EXECUTIONS_CONTROL)

    async def work(handling: Handling, id: UUID, _sent: Sent) -> None:
        await handling.release(id, visitor.decider, for_others=for_others)

    return await _moved(visitor, task_id, work, "released")


@router.post("/tasks/{task_id}/delegate")
async def delegate(visitor: Visitor, task_id: str) -> Response:
    async def work(handling: Handling, id: UUID, sent: Sent) -> None:
        to = sent.get("to", "").strip()[:320]
        if not to:
            raise Invalid("Nothing was delegated: choose a colleague.")
        at = visitor.parts.clock()
        row = await handling.delegate(id, visitor.decider, to, at=at, comment=comment_in(sent))
        about = (visitor.caller, row, visitor.decider, to)
        mails.append(await tell_delegate(visitor.parts, handling.connection, *about))

    mails: list[OutboxEntry | None] = []
    answer = await _moved(visitor, task_id, work, "delegated")
    await send(visitor.parts, *mails)
    return answer


@router.post("/tasks/{task_id}/comments")
async def comment(visitor: Visitor, task_id: str) -> Response:
    async def work(handling: Handling, id: UUID, sent: Sent) -> None:
        words = comment_in(sent)
        if words is None:
            raise Invalid("There was nothing in the comment.")
        await handling.comment(id, visitor.decider, words)

    return await _moved(visitor, task_id, work, "commented")


async def _moved(
    visitor: Visit, task_id: str, work: Callable[[Handling, UUID, Sent], Awaitable[None]], done: str
) -> Response:
    visitor.require(Permission.TASKS_READ, Permission.TASKS_DECIDE)
    sent, id = await visitor.form(), identifier(task_id)
    try:
        async with visitor.transaction() as tx:
            await work(Handling(tx), id, sent)
    except NotFound:
        raise
    except DomainError as refusal:
        return await _page(visitor, id, refusal=refusal)
    return visitor.to(f"/tasks/{id}", done=done)


async def _page(
    visitor: Visit,
    id: UUID,
    *,
    sent: Mapping[str, str] | None = None,
    filled: Filled | None = None,
    refusal: DomainError | None = None,
    notice: str | None = None,
    status: int = 200,
) -> Response:
    async with visitor.transaction() as tx:
        sheet = await sheet_of(visitor, tx, id, visitor.parts.clock())
    if filled is None and sheet.form is not None:
        filled = filled_with(sheet.form)
    values: dict[str, Any] = {
        "sheet": sheet,
        "task": sheet.task,
        "telling": sheet.telling,
        "filled": filled,
        "comment": (sent or {}).get("comment", "")[:COMMENT_LENGTH],
        "comment_length": COMMENT_LENGTH,
        "most_colleagues": MOST_COLLEAGUES,
        "me": visitor.caller.user_id,
        "my_email": visitor.user["email"],
        "may_see_execution": visitor.may(Permission.EXECUTIONS_READ),
    }
    if refusal is not None:
        return visitor.refuse("tasks/task.html", sheet.telling.refusal(refusal, sheet.task), **values)
    return visitor.render("tasks/task.html", status, notice=notice, **values)


async def _decided(visitor: Visit, tx: AsyncConnection, task_id: str) -> Mapping[str, Any] | None:
    """The word this person said about the task the address names: a link cannot make us claim anything else."""
    try:
        id = identifier(task_id)
        found: RowMapping = await Tasks(tx).get(id)
    except NotFound:
        return None
    mine = [word for word in await TaskEvents(tx).words(id) if word["user_id"] == visitor.caller.user_id]
    if not mine:
        return None
    [word] = mine[-1:]
    left = found["status"] == "open"
    return {"title": found["title"], "deed": DEED[word["outcome"]], "at": word["created_at"], "is_open": left}

"""The page that a mail about a task leads to: what is asked, and the answer, without signing in.

The link stands for one person and one task. Opening it changes nothing, because programs that look through mail
open every link; only sending the form answers, through the same function as everywhere. The page works without
scripts, knows no cookie, and tells no other site where it was.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.caller import NOBODY
from api.collaborators import Collaborators, Parts
from api.console.account.accounts import in_words, own
from api.console.frame.jsonview import json_view
from api.console.frame.shell import Sent
from api.console.frame.templates import render
from api.console.frame.wording import moment
from api.console.home.facts import facts_of
from api.console.tasks.answering import COMMENT_LENGTH, decision_of, filled_in
from api.console.tasks.taskwords import DEED
from api.errors import status_of
from db.identity import Users
from db.members import Members
from db.session import Access, Role
from db.taskcandidates import Candidates
from db.taskdeciders import Deciders
from db.taskdeciding import Deciding
from db.taskhistory import TaskEvents, TaskLinks
from db.tasks import Tasks
from db.tenants import Organization
from domain.errors import DomainError, Forbidden, NotFound
from domain.executions import TaskOutcome, TaskStatus
from domain.forms import Filled, Form, filled_with, form_of
from domain.onetime import PATHS, Purpose, kept
from domain.tasks import APPROVAL, FORM, CandidateKind, Decider, OnOverdue, is_theirs
from domain.tasks.words import until

router = APIRouter(include_in_schema=False)

PATH: Final = PATHS[Purpose.TASK]
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_UNKNOWN: Final = (
    "This link is not known. It may have been cut off on its way: open it from the mail itself, "
    "or copy all of it."
)


class Over(Exception):
    """A link that leads to no answer (any more), and why; `said` is what its holder answered before."""

    def __init__(
        self, title: str, detail: str, status: int, task: str | None = None, said: str | None = None
    ) -> None:
        super().__init__(title)
        self.title = title
        self.detail = detail
        self.status = status
        self.task = task
        self.said = said


@dataclass(frozen=True, slots=True)
class Held:
    """What a link that is good lets its holder do: answer this one task as this one decider."""

    token: str
    access: Access
    link: RowMapping


@dataclass(frozen=True, slots=True)
class Shown:
    task: RowMapping
    organization: RowMapping
    decider: Decider
    #: Why the holder cannot answer now.
    obstacle: DomainError | None
    form: Form | None
    #: What the holder has said, if several have to approve.
    own: RowMapping | None


@router.get(PATH + "/{token}")
async def show(parts: Parts, token: str) -> Response:
    try:
        held = await _held(parts, token)
        async with parts.database.transaction(held.access) as tx:
            shown = await _shown(tx, held, parts.clock())
    except Over as over:
        return _over(over)
    except Forbidden:
        return _over(_no_member())
    filled = None if shown.form is None else filled_with(shown.form)
    return _page(parts, held, shown, filled=filled)


@router.post(PATH + "/{token}")
async def answer(request: Request, parts: Parts, token: str) -> Response:
    pairs = [(name, value.replace("\0", "")) for name, value in (await request.form()).multi_items()
             if isinstance(value, str)]  # fmt: skip
    sent = Sent(pairs)
    try:
        held = await _held(parts, token)
        async with parts.database.transaction(held.access) as tx:
            shown = await _shown(tx, held, parts.clock())
    except Over as over:
        return _over(_already(over) if over.said not in (None, sent.get("outcome")) else over)
    except Forbidden:
        return _over(_no_member())
    filled = filled_in(shown.form, sent)
    try:
        own(request, dict(sent), may_be_private=True)
        if filled is not None and not filled.is_complete:
            status = 422 if filled.problems else 200
            return _page(parts, held, shown, filled=filled, sent=sent, status=status)
        decision = decision_of(sent, filled, is_form=shown.task["kind"] == FORM)
        async with parts.database.transaction(held.access) as tx:
            decided = await Deciding(tx).decide(
                held.link["task_id"], decision, shown.decider, at=parts.clock()
            )
    except DomainError as refusal:
        return _page(parts, held, shown, filled=filled, sent=sent, refusal=refusal)
    if decided.entry is not None:
        await parts.dispatcher.dispatch(decided.entry)
    return _private(RedirectResponse(f"{PATH}/{token}", 303))


async def _held(parts: Collaborators, token: str) -> Held:
    """Raises Over for a link that is unknown, was replaced, or is too old."""
    if not _TOKEN.fullmatch(token):
        raise Over("This link is not known", _UNKNOWN, 404)
    async with parts.database.transaction(NOBODY) as tx:
        link = await TaskLinks(tx).find(kept(token))
    if link is None:
        raise Over("This link is not known", _UNKNOWN, 404)
    if link["revoked_at"] is not None:
        raise Over(
            "This link was replaced",
            "A newer mail about the same task was sent to you; open the link in that one.",
            410,
        )
    if link["user_id"] is None:  # a client is no member: a worker of the organization acts for it
        return Held(token, Access(Role.WORKER, link["organization_id"]), link)
    return Held(token, Access(Role.API, link["organization_id"], link["user_id"]), link)


async def _shown(tx: AsyncConnection, held: Held, now: datetime) -> Shown:
    """Raises Over when there is nothing to answer any more, Forbidden for somebody who is no member any more."""
    link = held.link
    try:
        task = await Tasks(tx).get(link["task_id"])
    except NotFound:
        raise _not_theirs() from None
    facts = select(Organization.name, Organization.timezone)
    organization = (
        (await tx.execute(facts.where(Organization.id == link["organization_id"]))).mappings().one()
    )
    decider = await _decider(tx, link)
    words = await TaskEvents(tx).words(task["id"])
    own_word = next((word for word in words if is_theirs(word, decider)), None)
    if task["status"] != TaskStatus.OPEN:
        raise _closed(task, organization, own_word)
    if link["client_id"] is not None and not await _is_still_asked(tx, link, task):
        raise Over(
            "This link was replaced",
            f"It was mailed to an address at which {organization['name']} asks nobody any more. Whoever answers now is "
            f"mailed a link of their own; ask {organization['name']} if that is you.",
            410,
            task["title"],
        )
    if link["expires_at"] <= now:
        zone = ZoneInfo(organization["timezone"])
        raise Over(
            "This link is too old",
            f"It worked until {moment(link['expires_at'], zone)}. Ask {organization['name']} to send you another one"
            + (", or sign in and answer there." if decider.user_id is not None else "."),
            410,
            task["title"],
        )
    obstacle = await Deciders(tx).obstacle(task, decider, at=now)
    zone = ZoneInfo(organization["timezone"])
    form = None if task["form"] is None else form_of(task["form"], zone=zone)
    return Shown(task, organization, decider, obstacle, form, own_word)


async def _is_still_asked(tx: AsyncConnection, link: RowMapping, task: RowMapping) -> bool:
    """Whether the client is asked at the address to which this link was mailed."""
    names, authorizing = [f"{CandidateKind.CLIENT}:{link['client_id']}"], task["kind"] == APPROVAL
    found = await Candidates(tx).resolve(names, authorizing=authorizing)
    return any(each.address_sha256 == link["address_sha256"] for each in found.customers)


async def _decider(tx: AsyncConnection, link: RowMapping) -> Decider:
    if link["user_id"] is None:
        return Decider(None, client_id=link["client_id"])
    member = await Members(tx, link["organization_id"]).get(link["user_id"])
    email = (await Users(tx).get(link["user_id"]))["email"]
    return Decider(link["user_id"], email, member.holder.role.name)


def _closed(task: RowMapping, organization: RowMapping, own_word: RowMapping | None) -> Over:
    """What became of the task, as precisely as the holder may know."""
    zone, title = ZoneInfo(organization["timezone"]), f"“{task['title']}”"
    if own_word is not None:
        said = (
            f"You {DEED[TaskOutcome(own_word['outcome'])]} {title} on {moment(own_word['created_at'], zone)}."
        )
        detail = f"{said} {organization['name']} has your answer; nothing more is needed."
        return Over("Your answer is recorded", detail, 200, task["title"], own_word["outcome"])
    if task["status"] == TaskStatus.EXPIRED or (task["decision"] or {}).get("overdue"):
        due = moment(task["due_at"], zone)
        return Over("The deadline has passed", f"{title} was to be answered until {due}.", 410, task["title"])
    if task["status"] == TaskStatus.CANCELLED:
        detail = f"{organization['name']} does not need an answer to {title} any more."
        return Over("No answer is needed any more", detail, 410, task["title"])
    detail = f"Somebody else answered {title} on {moment(task['decided_at'], zone)}; nothing is left to do."
    return Over("Somebody else was quicker", detail, 410, task["title"])


def _page(
    parts: Collaborators,
    held: Held,
    shown: Shown,
    *,
    filled: Filled | None,
    sent: Sent | None = None,
    refusal: DomainError | None = None,
    status: int = 200,
) -> Response:
    task, zone = shown.task, shown.organization["timezone"]
    ends = task["on_overdue"] != OnOverdue.KEEP
    obstacle = shown.obstacle
    values: dict[str, Any] = {
        "action": f"{PATH}/{held.token}",
        "task": task,
        "organization": shown.organization["name"],
        "is_form": task["kind"] == FORM,
        "is_member": shown.decider.user_id is not None,
        "when": until(task["due_at"], zone, ends=ends, now=parts.clock()),
        "facts": facts_of(task["arguments"]),
        "whole": None if task["arguments_digest"] is None else json_view(task["arguments"], None),
        "form": shown.form,
        "filled": filled,
        "comment": "" if sent is None else sent.get("comment", "")[:COMMENT_LENGTH],
        "comment_length": COMMENT_LENGTH,
        "obstacle": None if obstacle is None else in_words(obstacle),
        "own": None
        if shown.own is None
        else f"You {DEED[TaskOutcome(shown.own['outcome'])]} this on "
        f"{moment(shown.own['created_at'], ZoneInfo(zone))}; others still have to.",
        "problem": "" if refusal is None else in_words(refusal),
    }
    return _private(
        render("tasks/tasklink.html", status if refusal is None else status_of(refusal), **values)
    )


def _already(over: Over) -> Over:
    """Another answer than the one that stands was sent."""
    return Over("You have answered already", f"{over.detail} The first answer counts.", 409, over.task)


def _no_member() -> Over:
    detail = "You are no active member of the organization that asked any more, so you cannot answer for it."
    return Over("You cannot answer any more", detail, 403)


def _not_theirs() -> Over:
    detail = "The task is not put to you any more, so you cannot answer it; ask whoever sent you here."
    return Over("You cannot answer any more", detail, 403)


def _over(over: Over) -> Response:
    title = over.title if over.task is None else f"{over.title}: {over.task}"
    return _private(
        render("tasks/tasklink_over.html", over.status, title=title, heading=over.title, detail=over.detail)
    )


def _private(answer: Response) -> Response:
    """The address is the key: no other site is told where the reader was, and no shared cache keeps the page."""
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer

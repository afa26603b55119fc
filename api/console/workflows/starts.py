"""Starting a workflow by hand: a form drawn from the input schema of the version that runs."""

import hashlib
from typing import Any
from uuid import UUID, uuid4

import orjson
from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accepting import NotRunnable
from api.choosing import worked_out
from api.console.frame.shell import PageRoute, Sent, Visitor
from api.console.workflows.head import About, plainly
from api.starting import Place, StartBody, start_by_hand
from db.definitions import Versions
from domain.definitions.outline import at
from domain.errors import DomainError, Invalid, Problem
from domain.forms import Filled, Form, filled_with, form_of, read
from domain.permissions import Permission

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/workflows/{id}/start")
async def ask(visitor: Visitor, id: UUID) -> Response:
    visitor.require(Permission.EXECUTIONS_START)
    async with visitor.transaction() as tx:
        about = await About.read(tx, visitor, id)
        form = await input_form(tx, about)
    return visitor.render("workflows/start.html", **_shown(about, form, filled_with(form), str(uuid4())))


@router.post("/workflows/{id}/start")
async def start(visitor: Visitor, id: UUID) -> Response:
    """`once` makes a second click start nothing more; the same form with other content is another start."""
    visitor.require(Permission.EXECUTIONS_START)
    sent = await visitor.form()
    async with visitor.transaction() as tx:
        about = await About.read(tx, visitor, id)
        form = await input_form(tx, about)
    filled = await worked_out(read, form, sent.lists())
    shown = _shown(about, form, filled, sent.get("once", "") or str(uuid4()))
    if not filled.is_complete:
        return visitor.render("workflows/start.html", 422 if filled.problems else 200, **shown)
    try:
        answer = await start_by_hand(
            visitor.parts,
            visitor.caller,
            plainly(visitor, _key(sent)),
            id,
            StartBody(input=filled.value),
            Place.CONSOLE,
        )
    except Invalid as refusal:
        misfit = Filled(filled.value, _placed(refusal), filled.texts, filled.rows)
        return visitor.refuse("workflows/start.html", refusal, **{**shown, "filled": misfit})
    except DomainError as refusal:
        return visitor.refuse("workflows/start.html", refusal, **shown)
    return visitor.to(f"/executions/{orjson.loads(answer.body)['id']}", done="started")


async def input_form(tx: AsyncConnection, about: About) -> Form:
    """The form of the current version; raises NotRunnable for a workflow that was never published."""
    if about.current is None:
        raise NotRunnable("This workflow is a draft; publish it first, then it can be started.")
    version = await Versions(tx).get(about.row["id"], about.current)
    schema = schema_of(version["compiled"]["document"])
    return await worked_out(form_of, schema, zone=about.visitor.zone)


def schema_of(document: Any) -> Any:
    """The input's schema; any object where none is declared."""
    found = at(document, "input", "schema", "document")
    return found if isinstance(found, dict | bool) else {}


def _shown(about: About, form: Form, filled: Filled, once: str) -> dict[str, Any]:
    return {"about": about, "here": "", "form": form, "filled": filled, "once": once}


def _placed(refusal: Invalid) -> tuple[Problem, ...]:
    """At their fields: the API's pointers lead into the body of its request."""
    return tuple(
        Problem(each.pointer.removeprefix("#/input"), each.message, each.suggestion, each.code)
        for each in refusal.problems
    )


def _key(sent: Sent) -> str | None:
    nonce = sent.get("once", "")
    if not (8 <= len(nonce) <= 64 and nonce.isascii() and nonce.replace("-", "").isalnum()):
        return None
    told = orjson.dumps([pair for pair in sent.pairs if pair[0] not in ("csrf_token", "once")])
    return f"{nonce}-{hashlib.sha256(told).hexdigest()[:16]}"

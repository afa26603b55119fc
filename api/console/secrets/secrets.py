"""Secrets: their names, versions and readers; setting one and deleting one. No page ever shows a value."""

from typing import Final

from fastapi import APIRouter, Response

from api.console.frame.shell import PageRoute, Visit, Visitor
from api.secrets import forget_secret, set_secret
from db.people import names_of
from db.secrets import Secrets
from domain.errors import Conflict, DomainError, Invalid, Problem
from domain.permissions import Permission
from domain.secrets import MAX_VALUE_BYTES, is_name

router = APIRouter(route_class=PageRoute, include_in_schema=False)

NOTICES: Final = {
    "set": "The secret is set. Steps that begin from now on use this value.",
    "deleted": "The secret is deleted. Steps that need it fail from now on, and say so.",
}
MOST_READERS: Final = 50


@router.get("/secrets")
async def secrets(visitor: Visitor, done: str = "") -> Response:
    visitor.require(Permission.SECRETS_READ)
    return await _list(visitor, notice=NOTICES.get(done))


@router.post("/secrets")
async def add(visitor: Visitor) -> Response:
    """A new one; whoever means to replace a value says so on the page of that secret."""
    visitor.require(Permission.SECRETS_WRITE)
    form = await visitor.form()
    name = form.get("name", "").strip()[:200]
    try:
        value = _value(form.get("value", ""))
        async with visitor.transaction() as tx:
            if name in await Secrets(tx).names():
                raise Conflict(f"There is a secret called {name} already; open it to replace its value.")
        await set_secret(visitor.parts, visitor.caller, name, value)
    except DomainError as refusal:
        return await _list(visitor, refusal=refusal, name=name)
    return visitor.to("/secrets", done="set")


@router.get("/secrets/{name}")
async def secret(visitor: Visitor, name: str, done: str = "") -> Response:
    visitor.require(Permission.SECRETS_READ)
    return await _one(visitor, name, notice=NOTICES.get(done))


@router.post("/secrets/{name}")
async def replace(visitor: Visitor, name: str) -> Response:
    visitor.require(Permission.SECRETS_WRITE)
    form = await visitor.form()
    try:
        value = _value(form.get("value", ""))
        async with visitor.transaction() as tx:
            await Secrets(tx).get(name)
        await set_secret(visitor.parts, visitor.caller, name, value)
    except Invalid as refusal:
        return await _one(visitor, name, refusal=refusal)
    return visitor.to(f"/secrets/{name}", done="set")


@router.post("/secrets/{name}/delete")
async def delete(visitor: Visitor, name: str) -> Response:
    visitor.require(Permission.SECRETS_WRITE)
    form = await visitor.form()
    if form.get("sure") != "yes":
        unsure = Invalid("Deleting a secret is for good: say that you are sure.")
        return await _one(visitor, name, refusal=unsure)
    await forget_secret(visitor.parts, visitor.caller, name)
    return visitor.to("/secrets", done="deleted")


def _value(sent: str) -> str:
    """Browsers end lines in their own way and people copy a last one too many; raises Invalid."""
    value = sent.replace("\r\n", "\n").removesuffix("\n")
    size = len(value.encode())
    if not value:
        raise Invalid(problems=[Problem("", "The value is empty.", "Paste the secret into the field.")])
    if size > MAX_VALUE_BYTES:
        message = f"A secret has at most {MAX_VALUE_BYTES} bytes, this one has {size}."
        raise Invalid(problems=[Problem("", message, "Keep large data in a document.")])
    return value


async def _list(
    visitor: Visit, *, notice: str | None = None, refusal: DomainError | None = None, name: str = ""
) -> Response:
    async with visitor.transaction() as tx:
        rows = await Secrets(tx).all()
        people = await names_of(tx, (row["updated_by"] for row in rows))
    values = {
        "rows": rows,
        "people": people,
        "name": name,
        "may_write": visitor.may(Permission.SECRETS_WRITE),
        "most_bytes": MAX_VALUE_BYTES,
    }
    if refusal is not None:
        return visitor.refuse("secrets/secrets.html", refusal, **values)
    return visitor.render("secrets/secrets.html", notice=notice, **values)


async def _one(
    visitor: Visit, name: str, *, notice: str | None = None, refusal: DomainError | None = None
) -> Response:
    async with visitor.transaction() as tx:
        row = await Secrets(tx).get(name)
        people = await names_of(tx, (row["created_by"], row["updated_by"]))
        may_read = visitor.may(Permission.WORKFLOWS_READ)
        readers = await Secrets(tx).readers(name, MOST_READERS) if may_read and is_name(name) else []
    values = {
        "row": row,
        "people": people,
        "readers": readers,
        "may_write": visitor.may(Permission.SECRETS_WRITE),
        "may_read_workflows": may_read,
        "most_bytes": MAX_VALUE_BYTES,
    }
    if refusal is not None:
        return visitor.refuse("secrets/secret.html", refusal, **values)
    return visitor.render("secrets/secret.html", notice=notice, **values)

"""What every page behind the sign-in shares: its visitor, the frame around it, and what happens when it refuses.

A page is a route of an `APIRouter(route_class=PageRoute)` that asks for a `Visitor`; what it raises becomes a page.
"""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, cookie_name
from api.collaborators import Collaborators, Parts
from api.console.frame.held import held
from api.console.frame.templates import render
from api.console.frame.visits import FormOutdated, check_form, signed_in
from api.errors import status_of
from api.identification import MfaEnrolmentRequired
from api.tokens import csrf_token
from db.identity import Users
from db.inbox import Inbox
from db.logins import Identities
from db.tenants import Organizations
from domain.errors import DomainError, Forbidden, Invalid, NotFound, Unauthenticated
from domain.permissions import Permission
from domain.tasks import Decider

#: The navigation's word about the inbox counts no further.
MANY_TASKS = 99
#: Name in the address, word, what one must be allowed to do to see it.
NAVIGATION: Sequence[tuple[str, str, Permission | None]] = (
    ("", "Home", None),
    ("tasks", "Inbox", Permission.TASKS_READ),
    ("executions", "Executions", Permission.EXECUTIONS_READ),
    ("workflows", "Workflows", Permission.WORKFLOWS_READ),
    ("templates", "Templates", Permission.WORKFLOWS_READ),
    ("schedules", "Schedules", Permission.TRIGGERS_READ),
    ("events", "Events", Permission.EVENTS_READ),
    ("deliveries", "Deliveries", Permission.DELIVERIES_READ),
    ("secrets", "Secrets", Permission.SECRETS_READ),
)


_TITLES: Final = {
    403: "Not permitted",
    404: "Not found",
    409: "Not possible now",
    422: "Not possible like this",
}


class Sent(Mapping[str, str]):
    """The texts of a form; a name that was sent several times answers the last of them, or all by `getlist`."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.pairs = pairs
        self._last = dict(pairs)

    def __getitem__(self, name: str) -> str:
        return self._last[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def getlist(self, name: str) -> list[str]:
        return [value for each, value in self.pairs if each == name]

    def lists(self) -> dict[str, list[str]]:
        """Every name with all of its values, in their order."""
        found: dict[str, list[str]] = {}
        for name, value in self.pairs:
            found.setdefault(name, []).append(value)
        return found


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody signed in who looks at a page; `organization` is the row of the one they act in."""

    request: Request
    parts: Collaborators
    caller: Caller
    cookie: str
    user: RowMapping
    organization: RowMapping | None
    organizations: Sequence[RowMapping]
    open_tasks: int

    @property
    def zone(self) -> ZoneInfo:
        """In which times are shown: the organization's."""
        return ZoneInfo(self.organization["timezone"] if self.organization is not None else "UTC")

    @property
    def decider(self) -> Decider:
        return Decider(self.caller.user_id, self.user["email"], self.caller.role or "")

    @property
    def csrf(self) -> str:
        return csrf_token(self.parts.security.token_secret, self.cookie)

    def may(self, permission: Permission) -> bool:
        return self.caller.may(permission)

    def require(self, *permissions: Permission) -> None:
        """Raises Forbidden."""
        missing = [each for each in permissions if not self.caller.may(each)]
        if self.caller.organization_id is None:
            raise Forbidden("You are a member of no organization yet; ask to be invited into one.")
        if missing:
            raise Forbidden(
                f"This needs the permission {', '.join(missing)}; ask an administrator of the organization."
            )

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """In the visitor's organization, under its row level security."""
        return self.parts.database.transaction(self.caller.access)

    async def form(self) -> Sent:
        """What was sent, from a page of ours. Raises Forbidden."""
        # Without the NUL characters that no page of ours sends and PostgreSQL keeps in no text.
        pairs = [
            (name, value.replace("\0", ""))
            for name, value in (await self.request.form()).multi_items()
            if isinstance(value, str)
        ]
        check_form(self.request, self.parts, dict(pairs), self.cookie)
        return Sent(pairs)

    def render(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A template that extends `app.html`."""
        return render(template, status, **{"notice": None, "problem": None, **values, **self._frame()})

    def refuse(self, template: str, refusal: DomainError, **values: Any) -> HTMLResponse:
        """The same page with what was wrong on top; its status says so too."""
        return self.render(template, status_of(refusal), problem=refusal, **values)

    def to(self, path: str, **query: str) -> RedirectResponse:
        """After something was done: a redirect, so that reloading the page does it no second time."""
        return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 303)

    def _frame(self) -> dict[str, Any]:
        shown = [
            {"path": f"/{path}", "word": word, "name": path or "home"}
            for path, word, needed in NAVIGATION
            if needed is None or self.caller.may(needed)
        ]
        return {
            "visitor": self,
            "csrf_value": self.csrf,
            "zone": self.zone,
            "navigation": shown,
            "current": self.request.url.path.split("/")[1] or "home",
            "person": " ".join(filter(None, (self.user["first_name"], self.user["last_name"])))
            or self.user["email"],
            "many_tasks": MANY_TASKS,
        }


async def visit(request: Request, parts: Parts) -> Visit:
    """Raises Unauthenticated, MfaEnrolmentRequired; `PageRoute` makes ways to mend it of them."""
    cookie, caller = await signed_in(request, parts)
    organization, open_tasks = None, 0
    async with parts.database.transaction(caller.access) as tx:
        user = await Users(tx).get(caller.user_id)
        organizations = await Identities(tx).organizations(caller.user_id)
        if caller.organization_id is not None:
            organization = await Organizations(tx).get(caller.organization_id)
            if caller.may(Permission.TASKS_READ):
                decider = Decider(caller.user_id, user["email"], caller.role or "")
                open_tasks = await Inbox(tx).count(decider, MANY_TASKS + 1)
    found = Visit(request, parts, caller, cookie, user, organization, organizations, open_tasks)
    request.state.visit = found
    return found


Visitor = Annotated[Visit, Depends(visit)]


class PageRoute(APIRoute):
    """What the route raises becomes a page: the way to sign in, or what was wrong and how to mend it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except Unauthenticated:
                return await _to_login(request)
            except FormOutdated as refusal:
                return await _outdated(request, refusal)
            except MfaEnrolmentRequired:
                return RedirectResponse("/second-factor", 303)
            except RequestValidationError as error:
                if any(each["loc"][0] == "path" for each in error.errors()):
                    return _problem(request, NotFound())
                return _problem(request, _unreadable(error))
            except DomainError as refusal:
                return _problem(request, refusal)

        return handled


def _unreadable(error: RequestValidationError) -> Invalid:
    named = ", ".join(f"{each['loc'][-1]}: {each['msg']}" for each in error.errors()[:5])
    return Invalid(f"The address of this page cannot be read ({named}); go back and follow a link.")


async def _outdated(request: Request, refusal: FormOutdated) -> Response:
    """A form of an earlier session: what was typed is kept, and sent again by whoever is signed in now."""
    found: Visit | None = getattr(request.state, "visit", None)
    kept = await held(request)
    if found is None or kept is None:
        return _problem(request, refusal)
    return found.render("frame/outdated.html", status_of(refusal), held=kept)


async def _to_login(request: Request) -> Response:
    parts: Collaborators = request.app.state.collaborators
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    has_cookie = cookie_name(parts) in request.cookies
    if request.method != "GET":
        kept = await held(request)
        if kept is None:
            return RedirectResponse("/login?reason=not-sent", 303)
        return render("frame/session_over.html", 401, held=kept)
    if request.headers.get("sec-fetch-site") == "cross-site" and not has_cookie:
        # Out of a mail program browsers keep a strict cookie to themselves; asked again from here, they show it.
        return render("frame/arriving.html", here=here)
    reason = {"reason": "session-ended"} if has_cookie else {}
    asked = {"next": here} if here != "/" else {}
    query = urlencode({**reason, **asked})
    return RedirectResponse(f"/login?{query}" if query else "/login", 303)


def _problem(request: Request, refusal: DomainError) -> Response:
    status = status_of(refusal)
    title = _TITLES.get(status, HTTPStatus(status).phrase)
    found: Visit | None = getattr(request.state, "visit", None)
    if found is None:
        return render("frame/problem.html", status, title=title, detail=refusal.message)
    return found.render("frame/refused.html", status, title=title, refusal=refusal)


def identifier(text: str) -> UUID:
    """Raises NotFound for what is no id."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None

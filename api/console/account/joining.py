"""The page an invitation's mail leads to, and choosing the organization one acts in.

Opening the link shows what it is for; only sending the form uses it up. Whoever has an account signs in first and
finds back here by a cookie, for browsers do not show us their session on the way in from a mail program.
"""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from api.collaborators import Collaborators, Parts
from api.console.account.accounts import in_words, own
from api.console.frame.templates import render
from api.console.frame.visits import check_form, form_of, set_cookie, signed_in
from api.console.frame.wording import moment
from api.console.home.home import INVITED
from api.errors import status_of
from api.identity import Entrance
from api.joining import Joining, Newcomer
from api.registration import TokenRefused
from db.identity import Sessions
from db.invitations import Found
from domain.errors import DomainError, NotFound, Unauthenticated
from domain.onetime import PATHS, Purpose

router = APIRouter(include_in_schema=False)

PATH = PATHS[Purpose.INVITATION]
_LONGEST = 200


@router.get(PATH)
async def invitation_page(request: Request, parts: Parts, entrance: Entrance, token: str = "") -> Response:
    token = token or request.cookies.get(INVITED, "")
    return await _page(parts, entrance, token)


@router.post(PATH)
async def join(request: Request, parts: Parts, entrance: Entrance) -> Response:
    form = own(request, await form_of(request), may_be_private=True)
    token, joining = form.get("token", "")[:_LONGEST], Joining(parts, entrance)
    try:
        found = await joining.look(token)
        if not found.has_account:
            name = form.get("name", "").strip()[:200]
            await joining.register(token, Newcomer(name or found.email, form.get("password", "")))
            detail = f"You are a member of {found.organization}. Sign in with the password you chose."
            return _over(render("frame/outcome.html", title="Your account is open", detail=detail))
        _, caller = await signed_in(request, parts, is_enrolling=True)
        await joining.accept(token, caller)
    except Unauthenticated:
        answer = _private(RedirectResponse("/login?reason=invited", 303))
        set_cookie(parts, answer, INVITED, token, seconds=3600)
        return answer
    except DomainError as refusal:
        return await _page(parts, entrance, token, refusal, name=form.get("name", ""))
    if caller.session_id is not None:
        async with parts.database.transaction(caller.access) as tx:
            await Sessions(tx, caller.user_id).act_in(caller.session_id, found.organization_id)
    return _over(RedirectResponse("/", 303))


@router.post("/organization")
async def switch(request: Request, parts: Parts) -> Response:
    """Act in another of one's organizations from now on, with this login."""
    try:
        cookie, caller = await signed_in(request, parts, is_enrolling=True)
    except Unauthenticated:
        return RedirectResponse("/login", 303)
    form = await form_of(request)
    check_form(request, parts, form, cookie)
    try:
        wanted = UUID(form.get("organization_id", ""))
    except ValueError:
        raise NotFound from None
    if caller.session_id is not None:
        async with parts.database.transaction(caller.access) as tx:
            await Sessions(tx, caller.user_id).act_in(caller.session_id, wanted)
    return RedirectResponse("/", 303)


async def _page(
    parts: Collaborators, entrance: Entrance, token: str, refusal: DomainError | None = None, name: str = ""
) -> Response:
    found: Found | None = None
    if not isinstance(refusal, TokenRefused):
        try:
            found = await Joining(parts, entrance).look(token[:_LONGEST])
        except DomainError as over:
            refusal = refusal or over
    answer = render(
        "account/invitation.html",
        200 if refusal is None else status_of(refusal),
        found=found,
        name=name,
        token=token if found is not None else "",
        problem="" if refusal is None else in_words(refusal),
        moment=moment,
    )
    return _private(answer) if found is not None else _over(answer)


def _over(answer: Response) -> Response:
    answer.delete_cookie(INVITED, path="/")
    return _private(answer)


def _private(answer: Response) -> Response:
    """The address holds the token: no other site is told where the reader was."""
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer

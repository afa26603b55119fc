"""The page where a person sets up their second factor: a QR code, a first code, backup codes. No script."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup

from api.auth import Caller
from api.collaborators import Collaborators, Parts
from api.confirming import ConfirmationRefused, proven_password
from api.console.frame.shell import PageRoute, visit
from api.console.frame.templates import render
from api.console.frame.visits import check_form, form_of, signed_in
from api.errors import status_of
from api.identification import MfaEnrolmentRequired
from api.identity import Entrance, From
from api.proof import NothingPending, WrongCode
from api.secondfactor import enabled_by, state_of
from api.stepup import StepUpRequired, require_confirmed
from api.tokens import csrf_token
from db.identity import Sessions, Users
from domain.errors import DomainError, Forbidden, TooManyRequests

router = APIRouter(prefix="/second-factor", route_class=PageRoute, include_in_schema=False)
_LATE = "Your password was asked for more than ten minutes ago; begin again."


async def _enrolling(request: Request, parts: Parts) -> tuple[str, Caller]:
    """The cookie and whose it is, though they may have to set up a second factor first."""
    return await signed_in(request, parts, is_enrolling=True)


Enrolling = Annotated[tuple[str, Caller], Depends(_enrolling)]


@router.get("")
async def show(request: Request, parts: Parts, enrolling: Enrolling) -> Response:
    return await _page(request, parts, enrolling)


@router.post("")
async def begin(request: Request, parts: Parts, enrolling: Enrolling, entrance: Entrance) -> Response:
    cookie, caller = enrolling
    form = await form_of(request)
    try:
        check_form(request, parts, form, cookie)
        if await entrance.factor.is_enabled(caller.access):
            return RedirectResponse("/second-factor", 303)
        if await proven_password(caller, form.get("password", ""), parts, entrance) is None:
            raise ConfirmationRefused("The password is wrong.")
    except (Forbidden, TooManyRequests) as refusal:
        return await _page(request, parts, enrolling, refusal)
    async with parts.database.transaction(caller.access) as tx:
        assert caller.session_id is not None
        await Sessions(tx, caller.user_id).confirm(caller.session_id, parts.clock())
        email = (await Users(tx).get(caller.user_id))["email"]
    begun = await entrance.factor.begin(caller.access, email)
    drawing = Markup(begun.qr_svg)  # noqa: S704  drawn here, of nothing but an address
    return await _page(request, parts, enrolling, pending=True, drawing=drawing, secret=begun.secret)


@router.post("/confirm")
async def confirm(
    request: Request, parts: Parts, enrolling: Enrolling, entrance: Entrance, device: From
) -> Response:
    cookie, caller = enrolling
    form = await form_of(request)
    try:
        check_form(request, parts, form, cookie)
        confirmed = await require_confirmed(caller, parts)
        codes = await enabled_by(confirmed, form.get("code", "")[:64], parts, entrance, device)
    except StepUpRequired:
        return await _page(request, parts, enrolling, Forbidden(_LATE))
    except NothingPending as refusal:
        return await _page(request, parts, enrolling, refusal)
    except (Forbidden, TooManyRequests, WrongCode) as refusal:
        return await _page(request, parts, enrolling, refusal, pending=True)
    return await _page(request, parts, enrolling, codes=codes)


async def _page(
    request: Request,
    parts: Collaborators,
    enrolling: tuple[str, Caller],
    refusal: DomainError | None = None,
    *,
    codes: list[str] | None = None,
    pending: bool = False,
    drawing: str = "",
    secret: str = "",
) -> Response:
    cookie, caller = enrolling
    state = await state_of(caller, parts)
    # A wrong code is no reason to send the person to the sign-in page, as its status elsewhere would say.
    status = 200 if refusal is None else 422 if isinstance(refusal, WrongCode) else status_of(refusal)
    values: dict[str, Any] = {
        "enabled": state.enabled,
        "codes_left": state.backup_codes_left,
        "csrf_value": csrf_token(parts.security.token_secret, cookie),
        "refused": refusal.message if refusal is not None else "",
        "demanded": state.demanded,
        "codes": codes or [],
        "pending": pending,
        "drawing": drawing,
        "secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
    }
    answer: Response
    try:
        answer = (await visit(request, parts)).render("account/second_factor.html", status, **values)
    except MfaEnrolmentRequired:
        # Nothing else is open to them yet, so there is nothing to lead to.
        answer = render("account/second_factor.html", status, visitor=None, **values)
    if isinstance(refusal, TooManyRequests):
        answer.headers["Retry-After"] = str(refusal.retry_after)
    return answer

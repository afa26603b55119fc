"""The page where a person sets up their second factor: a QR code, a first code, backup codes. No script."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup

from api.auth import Caller
from api.collaborators import Collaborators, Parts
from api.confirming import ConfirmationRefused, proven_password
from api.console.frame.templates import render
from api.console.frame.visits import check_form, form_of, signed_in
from api.errors import status_of
from api.identity import Entrance, From
from api.proof import NothingPending, WrongCode
from api.secondfactor import enabled_by, state_of
from api.stepup import StepUpRequired, require_confirmed
from api.tokens import csrf_token
from db.identity import Sessions, Users
from domain.errors import DomainError, Forbidden, TooManyRequests, Unauthenticated

router = APIRouter(prefix="/second-factor", include_in_schema=False)
_LATE = "Your password was asked for more than ten minutes ago; begin again."


@router.get("")
async def show(request: Request, parts: Parts) -> Response:
    try:
        cookie, caller = await signed_in(request, parts, is_enrolling=True)
    except Unauthenticated:
        return RedirectResponse("/login", 303)
    return await _page(parts, cookie, caller)


@router.post("")
async def begin(request: Request, parts: Parts, entrance: Entrance) -> Response:
    try:
        cookie, caller = await signed_in(request, parts, is_enrolling=True)
    except Unauthenticated:
        return RedirectResponse("/login", 303)
    form = await form_of(request)
    try:
        check_form(request, parts, form, cookie)
        if await entrance.factor.is_enabled(caller.access):
            return RedirectResponse("/second-factor", 303)
        if await proven_password(caller, form.get("password", ""), parts, entrance) is None:
            raise ConfirmationRefused("The password is wrong.")
    except (Forbidden, TooManyRequests) as refusal:
        return await _page(parts, cookie, caller, refusal)
    async with parts.database.transaction(caller.access) as tx:
        assert caller.session_id is not None
        await Sessions(tx, caller.user_id).confirm(caller.session_id, parts.clock())
        email = (await Users(tx).get(caller.user_id))["email"]
    begun = await entrance.factor.begin(caller.access, email)
    drawing = Markup(begun.qr_svg)  # noqa: S704  drawn here, of nothing but an address
    return await _page(parts, cookie, caller, pending=True, drawing=drawing, secret=begun.secret)


@router.post("/confirm")
async def confirm(request: Request, parts: Parts, entrance: Entrance, device: From) -> Response:
    try:
        cookie, caller = await signed_in(request, parts, is_enrolling=True)
    except Unauthenticated:
        return RedirectResponse("/login", 303)
    form = await form_of(request)
    try:
        check_form(request, parts, form, cookie)
        confirmed = await require_confirmed(caller, parts)
        codes = await enabled_by(confirmed, form.get("code", "")[:64], parts, entrance, device)
    except StepUpRequired:
        return await _page(parts, cookie, caller, Forbidden(_LATE))
    except NothingPending as refusal:
        return await _page(parts, cookie, caller, refusal)
    except (Forbidden, TooManyRequests, WrongCode) as refusal:
        return await _page(parts, cookie, caller, refusal, pending=True)
    return await _page(parts, cookie, caller, codes=codes)


async def _page(
    parts: Collaborators,
    cookie: str,
    caller: Caller,
    refusal: DomainError | None = None,
    *,
    codes: list[str] | None = None,
    pending: bool = False,
    drawing: str = "",
    secret: str = "",
) -> Response:
    state = await state_of(caller, parts)
    values: dict[str, Any] = {"enabled": state.enabled, "codes_left": state.backup_codes_left}
    # A wrong code is no reason to send the person to the sign-in page, as its status elsewhere would say.
    status = 200 if refusal is None else 422 if isinstance(refusal, WrongCode) else status_of(refusal)
    answer = render(
        "account/second_factor.html",
        status,
        csrf=csrf_token(parts.security.token_secret, cookie),
        problem=refusal.message if refusal is not None else "",
        demanded=state.demanded,
        codes=codes or [],
        pending=pending,
        drawing=drawing,
        secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        **values,
    )
    if isinstance(refusal, TooManyRequests):
        answer.headers["Retry-After"] = str(refusal.retry_after)
    return answer

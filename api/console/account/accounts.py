"""Opening an account and finding back into it: pages for people, which mails lead to; no script, no cookie.

Where an address holds a token, opening it shows a form and nothing else: programs that look through mail open
every link. Sending the form uses the token up. Such a page tells no other site where it was, so browsers send its
form with `Origin: null`; whoever holds the token needs no further proof that the form is ours.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from api.collaborators import Parts
from api.console.frame.templates import render
from api.console.frame.visits import form_of, is_foreign
from api.errors import status_of
from api.identity import Entrance, From
from api.recovery import Recovery
from api.registration import Registrar, Registration, SignUpClosed, TokenRefused
from domain.errors import DomainError, Forbidden, TooManyRequests
from domain.onetime import PATHS, Purpose

router = APIRouter(include_in_schema=False)

VERIFY = PATHS[Purpose.VERIFY_EMAIL]
RESET = PATHS[Purpose.RESET_PASSWORD]
CONFIRM = PATHS[Purpose.CHANGE_EMAIL]
_LONGEST = 320


@router.get("/register")
async def register_page(parts: Parts) -> Response:
    if parts.security.sign_up == "closed":
        return _outcome("Registration is closed", SignUpClosed().message, 403)
    return _page("account/register.html", form={})


@router.post("/register")
async def register(request: Request, parts: Parts, entrance: Entrance, device: From) -> Response:
    form = own(request, await form_of(request))
    wanted = Registration(
        form.get("email", "").strip()[:_LONGEST],
        form.get("password", ""),
        form.get("name", "").strip()[:200],
        form.get("organization_name", "").strip()[:200],
    )
    try:
        if not (wanted.name and wanted.organization_name):
            raise _Missing("Give your name and the name of your organization.")
        if parts.security.sign_up == "open":
            await Registrar(parts, entrance).open(wanted, device)
            return _outcome("Your account is open", "Sign in with the password you chose.")
        await Registrar(parts, entrance).begin(wanted, device)
    except DomainError as refusal:
        kept = {"email": wanted.email, "name": wanted.name, "organization_name": wanted.organization_name}
        return _page("account/register.html", refusal, form=kept)
    return _outcome(
        "Look into your mailbox",
        "We sent a mail to the address you gave. Its link opens your account; it works for 24 hours.",
    )


@router.get("/forgot-password")
async def forgot_page() -> Response:
    return _page("account/forgot_password.html", email="")


@router.post("/forgot-password")
async def forgot(request: Request, parts: Parts, entrance: Entrance, device: From) -> Response:
    email = own(request, await form_of(request)).get("email", "").strip()[:_LONGEST]
    try:
        if "@" not in email:
            raise _Missing("Give the e-mail address of your account.")
        await Recovery(parts, entrance).forgotten(email, device)
    except DomainError as refusal:
        return _page("account/forgot_password.html", refusal, email=email)
    return _outcome(
        "Look into your mailbox",
        "If there is an account with this address, a mail with a link to choose a new password is on its way.",
    )


@router.get(VERIFY)
async def verify_page(token: str = "") -> Response:
    return _with_token("account/verify_email.html", token)


@router.post(VERIFY)
async def verify(request: Request, parts: Parts, entrance: Entrance) -> Response:
    async def work(token: str) -> Response:
        await Registrar(parts, entrance).complete(token)
        return _outcome(
            "Your account is open", "The address is confirmed. Sign in with the password you chose."
        )

    return await _used(request, "account/verify_email.html", work)


@router.get(RESET)
async def reset_page(token: str = "") -> Response:
    return _with_token("account/reset_password.html", token)


@router.post(RESET)
async def reset(request: Request, parts: Parts, entrance: Entrance, device: From) -> Response:
    password = (await form_of(request)).get("password", "")

    async def work(token: str) -> Response:
        await Recovery(parts, entrance).reset(token, password, device)
        return _outcome(
            "Your password was changed",
            "You are signed out everywhere. Sign in with the new password, and your second step where you have one.",
        )

    return await _used(request, "account/reset_password.html", work)


@router.get(CONFIRM)
async def confirm_page(token: str = "") -> Response:
    return _with_token("account/confirm_email.html", token)


@router.post(CONFIRM)
async def confirm(request: Request, parts: Parts, entrance: Entrance, device: From) -> Response:
    async def work(token: str) -> Response:
        email = await Recovery(parts, entrance).confirm_email(token, device)
        return _outcome("Your e-mail address was changed", f"From now on you sign in with {email}.")

    return await _used(request, "account/confirm_email.html", work)


class _Missing(DomainError):
    """Fill in every field."""

    code = "missing"


async def _used(request: Request, template: str, work: Callable[[str], Awaitable[Response]]) -> Response:
    form = own(request, await form_of(request), may_be_private=True)
    token = form.get("token", "")[:_LONGEST]
    try:
        answer = await work(token)
    except DomainError as refusal:
        is_over = isinstance(refusal, TokenRefused)
        return _private(_page(template, refusal, token="" if is_over else token))
    return _private(answer)


def _with_token(template: str, token: str) -> Response:
    """Whether the token is good is not looked up: a link says nothing until its form is sent."""
    if not token or len(token) > _LONGEST:
        return _private(_page(template, TokenRefused(), token=""))
    return _private(_page(template, token=token))


def own(request: Request, form: dict[str, str], *, may_be_private: bool = False) -> dict[str, str]:
    """Raises Forbidden for a form that another site sent."""
    if is_foreign(request, may_be_private=may_be_private):
        raise Forbidden("This form came from another site; open the page here and send it again.")
    return form


def _page(template: str, refusal: DomainError | None = None, **values: Any) -> Response:
    problem = "" if refusal is None else in_words(refusal)
    answer = render(template, 200 if refusal is None else status_of(refusal), problem=problem, **values)
    if isinstance(refusal, TooManyRequests):
        answer.headers["Retry-After"] = str(refusal.retry_after)
    return answer


def in_words(refusal: DomainError) -> str:
    """A person reads what is wrong, not where in a document it stands."""
    said = [
        " ".join(filter(None, (each.message, each.suggestion)))
        for each in refusal.problems
        if each.code != TokenRefused.code
    ]
    return " ".join(said) or refusal.message


def _outcome(title: str, detail: str, status: int = 200) -> Response:
    return render("frame/outcome.html", status, title=title, detail=detail)


def _private(answer: Response) -> Response:
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer

"""Whom an account's mail goes to: looked up by the worker alone, in the platform's own organization.

What a step hands on holds addresses and ids, never a secret: the mail's link is computed where it is sent.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from activities.actions.context import ActionContext
from activities.actions.declaration import Arguments, Result, action
from db.authtokens import Recipients
from domain.actions import Effect, Lane
from domain.onetime import Purpose


class About(StrEnum):
    REGISTRATION = "registration"
    RESEND = "resend"
    RESET = "reset"
    EMAIL_CHANGE = "email_change"


class Concern(Arguments):
    about: About
    id: UUID | None = None
    email: Annotated[str, Field(max_length=254)] | None = None


class TokenOf(Result):
    purpose: Purpose
    id: UUID


class MailTo(Result):
    template: str
    to: str
    values: dict[str, str] = {}
    token: TokenOf | None = None


class Mails(Result):
    mails: list[MailTo]


@action(
    "mail.recipients",
    version="1.0.0",
    title="Look up whom an account's mail goes to",
    effect=Effect.IDEMPOTENT,
    lane=Lane.SEGMENT,
    timeout=timedelta(seconds=5),
    is_internal=True,
)
async def find_recipients(context: ActionContext, arguments: Concern) -> Mails:
    """No mail at all when nobody is there, or what was begun is over."""
    recipients = Recipients(context.transaction)
    match arguments:
        case Concern(about=About.REGISTRATION, id=UUID() as id):
            return Mails(mails=await _registration(recipients, context, id))
        case Concern(about=About.RESEND, email=str(email)):
            newest = await recipients.newest_registration(email, context.now)
            return Mails(mails=[] if newest is None else await _registration(recipients, context, newest))
        case Concern(about=About.RESET, id=UUID() as id):
            address = await recipients.of_reset(id, context.now)
            token = TokenOf(purpose=Purpose.RESET_PASSWORD, id=id)
            return Mails(
                mails=[] if address is None else [MailTo(template="reset-password", to=address, token=token)]
            )
        case Concern(about=About.EMAIL_CHANGE, id=UUID() as id):
            return Mails(mails=await _change(recipients, context, id))
        case _:
            return Mails(mails=[])


async def _registration(recipients: Recipients, context: ActionContext, id: UUID) -> list[MailTo]:
    found = await recipients.of_registration(id, context.now)
    if found is None:
        return []
    if found["is_taken"]:
        return [MailTo(template="already-registered", to=found["email"])]
    token = TokenOf(purpose=Purpose.VERIFY_EMAIL, id=id)
    return [MailTo(template="verify-email", to=found["email"], token=token)]


async def _change(recipients: Recipients, context: ActionContext, id: UUID) -> list[MailTo]:
    """The old address hears of the wish in any case; whoever has the new one already is told only that."""
    found = await recipients.of_email_change(id, context.now)
    if found is None:
        return []
    old, new = found["email"], found["new_email"]
    notice = MailTo(template="e-mail-change-asked", to=old, values={"new_email": new})
    token = TokenOf(purpose=Purpose.CHANGE_EMAIL, id=id)
    asked = MailTo(template="confirm-email", to=new, token=token)
    if found["is_taken"]:
        asked = MailTo(template="already-registered", to=new)
    return [asked] if old.lower() == new.lower() else [notice, asked]

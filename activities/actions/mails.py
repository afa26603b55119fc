"""The product's own mails: keyed, because the Message-ID comes from the occurrence."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, JsonValue

from activities.actions.context import ActionContext
from activities.actions.declaration import Arguments, Result, action
from activities.mails import letter, render
from domain.actions import Effect, Lane
from domain.definitions.faults import Fault
from domain.email import Mail, Mailbox, message_id
from domain.onetime import PATHS, Purpose, derive, link


def _address(text: str) -> str:
    Mailbox.parse(text)
    return text


def _known(name: str) -> str:
    letter(name)
    return name


class Token(Arguments):
    """The row whose secret the link carries."""

    purpose: Purpose
    id: UUID


class TemplateMail(Arguments):
    template: Annotated[str, AfterValidator(_known)]
    to: Annotated[str, Field(min_length=3, max_length=520), AfterValidator(_address)]
    values: dict[str, JsonValue] = {}
    token: Token | None = None
    #: A page of ours that the link leads to, where no token opens it.
    path: Annotated[str, Field(pattern=r"^/[a-z0-9/-]{0,200}$")] | None = None


class SentMail(Result):
    message_id: str


@action(
    "mail.template",
    version="1.0.0",
    title="Send one of the product's own mails",
    effect=Effect.KEYED,
    lane=Lane.ACTIVITY,
    timeout=timedelta(seconds=30),
    is_internal=True,
)
async def send_template(context: ActionContext, arguments: TemplateMail) -> SentMail:
    """Fill a template and send it to one address, with the link that its token opens."""
    return await deliver(context, arguments)


async def deliver(context: ActionContext, arguments: TemplateMail) -> SentMail:
    """The same for an action that has more to do; its occurrence names the mail. Raises Fault."""
    services = context.services
    if services.links is None:
        raise Fault("configuration", 501, "No links", "this worker does not know where the product is found")
    address, found = None, services.links
    if arguments.path is not None:
        address = f"{found.public_url}{arguments.path}"
    if arguments.token is not None:
        purpose = arguments.token.purpose
        if purpose not in PATHS:
            raise Fault("validation", 400, "No link", f"no page takes a token of {purpose.value}")
        address = link(found.public_url, purpose, derive(found.token_secret, purpose, arguments.token.id))
    written = render(arguments.template, arguments.values, link=address, public_url=found.public_url)
    sender = Mailbox.parse(services.mail.sender)
    mail = Mail(
        message_id=message_id(context.effect_key, sender.domain),
        sender=sender,
        to=(Mailbox.parse(arguments.to),),
        subject=written.subject,
        date=context.now,
        text=written.text,
        html=written.html,
    )
    await services.mail.send(mail)
    return SentMail(message_id=mail.message_id)

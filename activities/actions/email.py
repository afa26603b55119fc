"""Sending e-mail: keyed, because the Message-ID comes from the occurrence."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from activities.actions.context import ActionContext
from activities.actions.declaration import Arguments, Result, action
from domain.actions import Effect, Lane
from domain.email import MAX_RECIPIENTS, MAX_SUBJECT, Mail, Mailbox, check_subject, message_id


def _address(text: str) -> str:
    Mailbox.parse(text)
    return text


Address = Annotated[str, Field(min_length=3, max_length=520), AfterValidator(_address)]
Addresses = Annotated[list[Address], Field(max_length=MAX_RECIPIENTS)]


class SendEmail(Arguments):
    """Addresses are `name@example.com` or `Name <name@example.com>`; give `text`, `html` or both."""

    to: Address | Annotated[list[Address], Field(min_length=1, max_length=MAX_RECIPIENTS)]
    subject: Annotated[str, Field(min_length=1, max_length=MAX_SUBJECT), AfterValidator(check_subject)]
    text: str | None = None
    html: str | None = None
    cc: Addresses = []
    bcc: Addresses = []
    reply_to: Address | None = None

    @model_validator(mode="after")
    def _complete(self) -> "SendEmail":
        if self.text is None and self.html is None:
            raise ValueError("the message has no body; give text, html or both")
        if len(self.to_list) + len(self.cc) + len(self.bcc) > MAX_RECIPIENTS:
            raise ValueError(
                f"to, cc and bcc together name more than {MAX_RECIPIENTS} recipients; send several"
            )
        return self

    @property
    def to_list(self) -> list[str]:
        return [self.to] if isinstance(self.to, str) else self.to


class RefusedRecipient(Result):
    address: str
    code: int
    reason: str


class SentEmail(Result):
    message_id: str
    accepted: list[str]
    refused: list[RefusedRecipient]


@action(
    "email.send",
    version="1.0.0",
    title="Send an e-mail",
    effect=Effect.KEYED,
    lane=Lane.ACTIVITY,
    timeout=timedelta(seconds=30),
)
async def send_email(context: ActionContext, arguments: SendEmail) -> SentEmail:
    """Send one message. When the mail server refuses some recipients only, the result names them; when it
    refuses all, the step fails."""
    sender = Mailbox.parse(context.services.mail.sender)
    mail = Mail(
        message_id=message_id(context.effect_key, sender.domain),
        sender=sender,
        to=_boxes(arguments.to_list),
        cc=_boxes(arguments.cc),
        bcc=_boxes(arguments.bcc),
        reply_to=Mailbox.parse(arguments.reply_to) if arguments.reply_to else None,
        subject=arguments.subject,
        date=context.now,
        text=arguments.text,
        html=arguments.html,
    )
    delivery = await context.services.mail.send(mail)
    return SentEmail(
        message_id=mail.message_id,
        accepted=list(delivery.accepted),
        refused=[
            RefusedRecipient(address=item.address, code=item.code, reason=item.reason)
            for item in delivery.refused
        ],
    )


def _boxes(texts: list[str]) -> tuple[Mailbox, ...]:
    return tuple(Mailbox.parse(text) for text in texts)

"""Codes sent to telephones: whom to, then the message; only the message knows the digits."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from pydantic import Field

from activities.actions.context import ActionContext
from activities.actions.declaration import Arguments, Result, action
from db.authtokens import Recipients
from domain.actions import Effect, Lane
from domain.definitions.faults import Fault
from domain.onetime import LIFETIMES, Purpose, code, derive


class CodeOf(Arguments):
    id: UUID


class Message(Result):
    to: str
    id: UUID


class Messages(Result):
    messages: list[Message]


class SendCode(Arguments):
    to: Annotated[str, Field(pattern=r"^\+[1-9][0-9]{6,14}$")]
    id: UUID


class SentCode(Result):
    #: The last two digits: enough to recognise a number of one's own.
    ends_with: str


@action(
    "sms.recipients",
    version="1.0.0",
    title="Look up whom a code goes to",
    effect=Effect.IDEMPOTENT,
    lane=Lane.SEGMENT,
    timeout=timedelta(seconds=5),
    is_internal=True,
)
async def find_telephone(context: ActionContext, arguments: CodeOf) -> Messages:
    """Nobody, when the code has expired meanwhile."""
    number = await Recipients(context.transaction).of_code(arguments.id, context.now)
    return Messages(messages=[] if number is None else [Message(to=number, id=arguments.id)])


@action(
    "sms.code",
    version="1.0.0",
    title="Send a code to a telephone",
    effect=Effect.KEYED,
    lane=Lane.ACTIVITY,
    timeout=timedelta(seconds=30),
    is_internal=True,
)
async def send_code(context: ActionContext, arguments: SendCode) -> SentCode:
    """Compute the six digits of this token and send them."""
    services = context.services
    if services.links is None:
        raise Fault("configuration", 501, "No secret", "this worker does not know the installation's secret")
    digits = code(derive(services.links.token_secret, Purpose.VERIFY_PHONE, arguments.id))
    minutes = int(LIFETIMES[Purpose.VERIFY_PHONE].total_seconds() // 60)
    text = f"{digits} is your code for Perdure. It is good for {minutes} minutes. Give it to nobody."
    await services.sms.send(arguments.to, text, key=context.effect_key)
    return SentCode(ends_with=arguments.to[-2:])

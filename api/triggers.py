"""Triggers: what starts a workflow besides a person, their addresses, secrets, tests and samples."""

import base64
import secrets
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, require
from api.collaborators import Parts
from api.fields import Body
from api.idempotency import Answer, Idempotent
from api.triggerviews import TriggerView, add_secret, address, new_address, show_triggers
from db.definitions import Workflows
from db.triggers import SecretKind, Triggers
from domain.definitions import durations
from domain.errors import Conflict, Invalid, Problem
from domain.executions import TriggerType
from domain.permissions import Permission
from domain.webhooks.configuration import Configuration, SchemeName
from domain.webhooks.schemes import scheme_of
from domain.webhooks.schemes.standard import PREFIX

router = APIRouter(tags=["triggers"])
Reader = Annotated[Caller, Depends(require(Permission.TRIGGERS_READ))]
Writer = Annotated[Caller, Depends(require(Permission.TRIGGERS_WRITE))]
PATH = "/v1/triggers/{id}"
LONGEST_OVERLAP = timedelta(days=7)


class NotAWebhook(Conflict):
    """Only a trigger of type webhook has an address and secrets."""

    code = "not_a_webhook"


def _overlap(value: Any) -> Any:
    try:
        span = durations.parse(value)
    except durations.InvalidDuration as error:
        raise PydanticCustomError("duration", "{reason}", {"reason": error.message}) from None
    if span > LONGEST_OVERLAP:
        raise PydanticCustomError("duration", "The old secret can stay valid for seven days at most")
    return span


class Rotation(Body):
    what: Literal["secret", "url"] = Field(
        "secret", description="The signing secret, or the address with its token."
    )
    secret: str | None = Field(
        None,
        min_length=1,
        max_length=512,
        description="The provider's own secret, where it makes one; otherwise one is made here and shown once.",
    )
    overlap: Annotated[Any, AfterValidator(_overlap)] = Field(
        "24 hours",
        validate_default=True,
        description="How long the old one stays valid beside the new: `24 hours`, `PT0S`, at most seven days.",
        json_schema_extra={"type": ["string", "object"]},
    )


class Rotated(BaseModel):
    trigger_id: UUID
    secret: str | None = Field(description="The new signing secret, shown only now; null if you brought it.")
    url: str | None = Field(description="The new address, shown when it was rotated.")
    previous_until: datetime | None = Field(description="Until when the old one is accepted too.")


class TriggerList(BaseModel):
    items: list[TriggerView]


@router.get("/v1/workflows/{id}/triggers", operation_id="triggers_list", response_model=TriggerList)
async def list_triggers(caller: Reader, parts: Parts, id: UUID) -> Any:
    """All triggers the workflow was ever published with, by name; inactive ones start nothing."""
    async with parts.database.transaction(caller.access) as tx:
        await Workflows(tx).standing(id)
        rows = await Triggers(tx).of_workflow(id)
        views = await show_triggers(tx, parts, rows, with_urls=caller.may(Permission.TRIGGERS_WRITE))
    return {"items": views}


@router.get(PATH, operation_id="triggers_get", response_model=TriggerView)
async def get_trigger(caller: Reader, parts: Parts, id: UUID) -> Any:
    async with parts.database.transaction(caller.access) as tx:
        rows = [await Triggers(tx).get(id)]
        return (await show_triggers(tx, parts, rows, with_urls=caller.may(Permission.TRIGGERS_WRITE)))[0]


@router.post(PATH + "/rotate-secret", operation_id="triggers_rotate_secret", response_model=Rotated)
async def rotate_secret(
    caller: Writer, parts: Parts, once: Idempotent, id: UUID, body: Rotation | None = None
) -> Response:
    """Sets a new secret; requests signed with the old one are accepted until `overlap` has passed.

    Called first, it sets the secret without which a signed webhook refuses everything. Called again within the
    overlap, only the newest and the one before it count.
    """
    asked = body or Rotation()

    async def rotate(tx: AsyncConnection) -> Answer[None]:
        triggers, now = Triggers(tx), parts.clock()
        row = await triggers.lock(id)
        configuration = configuration_of(row)
        kind = SecretKind.URL if asked.what == "url" else SecretKind.SIGNING
        current = await triggers.secrets([id], now, kind)
        until = now + asked.overlap
        await triggers.let_expire(id, kind, now, until)
        shown: dict[str, Any] = {
            "trigger_id": str(id),
            "secret": None,
            "url": None,
            "previous_until": until if current and asked.overlap else None,
        }
        if kind is SecretKind.URL:
            token = await new_address(tx, parts, caller.organization, id)
            answer = {**shown, "url": address(parts, token)}
        else:
            secret = _secret(configuration, asked.secret)
            await add_secret(tx, parts, caller.organization, id, kind, secret)
            answer = {**shown, "secret": None if asked.secret else secret}
        return Answer(200, answer, kept=shown)

    return (await once.run(caller, rotate)).response()


def configuration_of(row: RowMapping) -> Configuration:
    """Raises NotAWebhook."""
    if row["type"] != TriggerType.WEBHOOK:
        raise NotAWebhook
    return Configuration.parse(row["configuration"])


def _secret(configuration: Configuration, given: str | None) -> str:
    if given is None and configuration.scheme is not SchemeName.URL:
        made = secrets.token_urlsafe(32)
        if configuration.scheme is SchemeName.STANDARD:
            return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
        return f"hook:{made}" if configuration.scheme is SchemeName.BASIC else made
    problem = scheme_of(configuration).problem_with(given or "")
    if problem is not None:
        raise Invalid(problems=[Problem("#/secret", problem, "Leave it out to have one made.")])
    return str(given)

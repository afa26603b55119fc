"""How triggers are shown, and how their rows come from what was published."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.collaborators import Collaborators
from api.hooks import token_sha256
from db.routing import MOST_TRIGGERS, Routings
from db.schedules import Schedules
from db.triggers import SecretKind, Triggers, sealed_at
from domain.definitions.publishing import CompiledTrigger
from domain.errors import Conflict
from domain.executions import TriggerType
from domain.keys import Unreadable
from domain.routing import types
from domain.webhooks.configuration import Configuration
from domain.webhooks.schemes import scheme_of


class TooManyEventTriggers(Conflict):
    """Your organization has as many active triggers for this type of events as it may have."""

    code = "too_many_event_triggers"


class SecretView(BaseModel):
    """Of a secret only this is ever shown."""

    kind: SecretKind
    created_at: datetime
    expires_at: datetime | None = Field(
        description="Set while a newer one has replaced it: valid until then."
    )


class TriggerProblem(BaseModel):
    """Why an event that came last, since this was published, started nothing although it may have been meant."""

    reason: str
    event_id: UUID
    at: datetime


class TriggerView(BaseModel):
    id: UUID
    workflow_id: UUID
    type: TriggerType
    name: str
    configuration: dict[str, Any]
    is_active: bool
    url: str | None = Field(description="Where to send; shown to who may change triggers.")
    ready: bool = Field(description="False while a webhook refuses everything because it has no secret.")
    secrets: list[SecretView]
    problem: TriggerProblem | None = Field(
        None,
        description="Of an event trigger: its latest event, if a filter failed or the workflow was refused.",
    )
    created_at: datetime
    updated_at: datetime


async def compile_triggers(
    tx: AsyncConnection,
    parts: Collaborators,
    organization_id: UUID,
    workflow_id: UUID,
    compiled: Sequence[CompiledTrigger],
) -> None:
    """Make the rows agree with what was published; the workflow's row is locked.

    A trigger keeps id, address and secrets as long as its name stays; one that was removed starts nothing. Raises
    TooManyEventTriggers.
    """
    triggers = Triggers(tx)
    before = {row["name"]: row["configuration"] for row in await triggers.of_workflow(workflow_id)}
    for each in compiled:
        hears = each.type is TriggerType.EVENT
        values = {
            "type": each.type,
            "configuration": each.configuration,
            "is_active": each.is_active,
            "event_types": types(each.configuration) if hears else None,
        }
        row = await triggers.put(organization_id, workflow_id, name=each.name, values=values)
        if hears and before.get(each.name, each.configuration) != each.configuration:
            await Routings(tx).reconsider(row["id"])
        if each.type is TriggerType.WEBHOOK and not await triggers.secrets(
            [row["id"]], parts.clock(), SecretKind.URL
        ):
            await new_address(tx, parts, organization_id, row["id"])
        if each.type is TriggerType.SCHEDULE:
            await Schedules(tx).wake(organization_id, row["id"], parts.clock())
    await triggers.retire(workflow_id, [each.name for each in compiled])
    await Schedules(tx).wake_of(workflow_id, parts.clock())
    if any(each.type is TriggerType.EVENT and each.is_active for each in compiled):
        await _require_room(tx, organization_id, workflow_id)


async def _require_room(tx: AsyncConnection, organization_id: UUID, workflow_id: UUID) -> None:
    crowd = await Routings(tx).crowded(organization_id, workflow_id)
    if crowd is None:
        return
    what = "any type" if crowd.type is None else f"the type “{crowd.type}”"
    raise TooManyEventTriggers(
        f"With its trigger “{crowd.trigger}”, {crowd.triggers} active event triggers of your organization would take"
        f" events of {what}; {MOST_TRIGGERS} at most may, those for any type among them. Switch off or remove one that"
        " nobody needs, or have it take other types."
    )


async def new_address(tx: AsyncConnection, parts: Collaborators, organization_id: UUID, id: UUID) -> str:
    """Give the trigger a fresh address; its token."""
    token = secrets.token_urlsafe(32)
    await add_secret(tx, parts, organization_id, id, SecretKind.URL, token)
    return token


async def add_secret(
    tx: AsyncConnection,
    parts: Collaborators,
    organization_id: UUID,
    trigger_id: UUID,
    kind: SecretKind,
    secret: str,
) -> None:
    id = uuid4()
    values = {
        "id": id,
        "kind": kind,
        "sha256": token_sha256(secret) if kind is SecretKind.URL else None,
        "sealed": await parts.keys.seal(organization_id, secret.encode(), sealed_at(id)),
        "created_at": parts.clock(),
    }
    await Triggers(tx).add_secret(organization_id, trigger_id, values)


async def show_triggers(
    tx: AsyncConnection, parts: Collaborators, rows: Sequence[RowMapping], *, with_urls: bool
) -> list[TriggerView]:
    """The rows as they are shown; the secrets of all of them come with one statement."""
    known = await Triggers(tx).secrets([row["id"] for row in rows], parts.clock()) if rows else []
    hearing = [row["id"] for row in rows if row["type"] == TriggerType.EVENT]
    failures = await Routings(tx).latest_failures(hearing) if hearing else {}
    views = []
    for row in rows:
        own = [secret for secret in known if secret["trigger_id"] == row["id"]]
        is_webhook = row["type"] == TriggerType.WEBHOOK
        views.append(
            TriggerView.model_validate(
                {
                    **row,
                    "url": await _url(parts, own) if is_webhook and with_urls else None,
                    "ready": not is_webhook or _is_ready(row, own),
                    "secrets": [dict(secret) for secret in own],
                    "problem": _problem(failures.get(row["id"])),
                }
            )
        )
    return views


def _problem(failure: RowMapping | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {"reason": failure["reason"], "event_id": failure["event_id"], "at": failure["decided_at"]}


def _is_ready(row: RowMapping, own: Sequence[RowMapping]) -> bool:
    scheme = scheme_of(Configuration.parse(row["configuration"]))
    return not scheme.needs_secret or any(secret["kind"] == SecretKind.SIGNING for secret in own)


async def _url(parts: Collaborators, own: Sequence[RowMapping]) -> str | None:
    current = next((secret for secret in own if secret["kind"] == SecretKind.URL), None)
    if current is None:
        return None
    try:
        token = await parts.keys.open(current["organization_id"], current["sealed"], sealed_at(current["id"]))
    except Unreadable:  # its key was shredded: rotating the address makes a new one
        return None
    return address(parts, token.decode())


def address(parts: Collaborators, token: str) -> str:
    return f"{parts.security.public_url}/v1/hooks/{token}"

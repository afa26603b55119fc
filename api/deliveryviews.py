"""How deliveries are shown."""

import base64
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import RowMapping

from domain.webhooks.envelope import Envelope
from domain.webhooks.verdicts import REPLAYABLE, Source, Verdict


class DeliverySummary(BaseModel):
    """What a list shows: what arrived and what became of it."""

    model_config = ConfigDict(extra="ignore")

    id: UUID
    trigger_id: UUID
    source: Source
    verdict: Verdict
    reason: str | None = Field(description="Why it started nothing.")
    method: str
    content_type: str | None
    size: int = Field(description="Bytes of the body; of an oversized one what was announced.")
    sha256: str | None = Field(description="Of the body.")
    event_id: str | None = Field(description="The provider's own name of the event.")
    source_ip: str | None
    execution_id: UUID | None = Field(description="What it started; of a duplicate, what the first one did.")
    replay_of: UUID | None
    unrecorded: int = Field(
        description="Refusals at this trigger that were only counted since the one before."
    )
    received_at: datetime


class Contents(BaseModel):
    """A body as it arrived, with what the execution was told beside it; credentials were left out."""

    headers: dict[str, str] | None
    query: dict[str, Any] | None
    body: str | None = Field(
        description="Null when it is not kept: refused as forged, or older than 30 days."
    )
    body_encoding: Literal["utf-8", "base64"] | None


class DeliveryView(DeliverySummary, Contents):
    replayable: bool


def show_delivery(row: RowMapping, envelope: Envelope | None) -> DeliveryView:
    return DeliveryView.model_validate(
        {
            **{name: value for name, value in row.items() if name != "body"},
            **contents(envelope),
            "replayable": envelope is not None and row["verdict"] in REPLAYABLE,
        }
    )


def contents(envelope: Envelope | None) -> dict[str, Any]:
    if envelope is None:
        return {"headers": None, "query": None, "body": None, "body_encoding": None}
    try:
        body, encoding = envelope.body.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        body, encoding = base64.b64encode(envelope.body).decode(), "base64"
    return {"headers": envelope.headers, "query": envelope.query, "body": body, "body_encoding": encoding}

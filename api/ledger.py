"""What the ledger keeps of a delivery: its body sealed, in the row or in the blob store, and for how long."""

from collections import OrderedDict
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping

from api.collaborators import Collaborators
from api.limits import Limiter, Rate
from domain.blobs import BlobMissing
from domain.definitions.values import MAX_BYTES
from domain.errors import Conflict, TooManyRequests
from domain.keys import Unreadable
from domain.webhooks.envelope import Envelope, place

#: Sealed bytes beyond this lie in the blob store; the row holds their key.
IN_ROW = MAX_BYTES
#: What is refused is written down this often per trigger, then only counted: a flood must not fill the disk.
#: What has proved itself has a measure of its own, so that strangers cannot use it up.
REFUSALS = Rate(200, 10)
_COUNTED = 20_000


class BodyGone(Conflict):
    """The body of this delivery is not kept any more, or never was."""

    code = "body_gone"


class Bodies:
    """Seals and opens the bodies of one application's deliveries."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    async def seal(self, organization_id: UUID, delivery_id: UUID, envelope: Envelope) -> bytes:
        return await self._parts.keys.seal(organization_id, envelope.pack(), place(delivery_id))

    async def open(self, row: RowMapping) -> Envelope | None:
        """None when nothing was kept, or the month is over. Raises BlobsUnavailable."""
        sealed = row["body"]
        if sealed is None and row["body_key"] is None:
            return None
        try:
            if sealed is None:
                sealed = await self._parts.blobs.get(row["body_key"])
            packed = await self._parts.keys.open(row["organization_id"], sealed, place(row["id"]))
        except (BlobMissing, Unreadable):  # swept a moment ago, or its key was shredded on purpose
            return None
        return Envelope.unpack(packed)


def blob_key(organization_id: UUID, delivery_id: UUID) -> str:
    return f"{organization_id}/deliveries/{delivery_id}"


class Refusals:
    """Says which refused requests are written down; the others are counted into the next one that is."""

    def __init__(self, rate: Rate = REFUSALS) -> None:
        self._limiter = Limiter(rate)
        self._omitted: OrderedDict[tuple[UUID, bool], int] = OrderedDict()

    def admit(self, trigger_id: UUID, now: datetime, *, authentic: bool) -> int | None:
        """How many of its kind were left out since the last one written down; None when this one is too."""
        kind = (trigger_id, authentic)
        try:
            self._limiter.spend(f"{trigger_id} {authentic}", now)
        except TooManyRequests:
            self._omitted[kind] = self._omitted.get(kind, 0) + 1
            while len(self._omitted) > _COUNTED:
                self._omitted.popitem(last=False)
            return None
        return self._omitted.pop(kind, 0)

"""Tax ids of clients: sealed in the database, readable to those who may read clients, found by exact value."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from db.sealed import from_text, place, to_text
from domain.keys import SearchableKeyRing, Unreadable

#: What stands in the place of a tax id whose key was shredded, or that was changed behind our back.
UNREADABLE: Final = "[unreadable]"
_COLUMN: Final = "clients.tax_id"


class TaxIds:
    """Works outside of transactions: a key that must be loaded needs a connection of its own."""

    def __init__(self, keys: SearchableKeyRing, organization_id: UUID) -> None:
        self._keys = keys
        self._organization_id = organization_id

    async def sealed(self, id: UUID, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values to write for the client `id`: a `tax_id` among them is sealed and made findable."""
        written = dict(values)
        if "tax_id" not in written:
            return written
        tax_id = written["tax_id"]
        if tax_id is None:
            return {**written, "tax_id_index": None}
        content = tax_id.encode()
        sealed = await self._keys.seal(self._organization_id, content, place("clients", "tax_id", id))
        index = await self._keys.fingerprint(self._organization_id, content, _COLUMN)
        return {**written, "tax_id": to_text(sealed), "tax_id_index": index}

    async def opened(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        """The row with its tax id as people read it."""
        shown = dict(row)
        if shown["tax_id"] is not None:
            where = place("clients", "tax_id", shown["id"])
            try:
                sealed = from_text(shown["tax_id"])
                shown["tax_id"] = (await self._keys.open(self._organization_id, sealed, where)).decode()
            except Unreadable:
                shown["tax_id"] = UNREADABLE
        return shown

    async def indexes(self, tax_id: str) -> list[bytes]:
        """Where a client with exactly this tax id may stand."""
        return await self._keys.fingerprints(self._organization_id, tax_id.encode(), _COLUMN)

"""What the rest of the product asks of encryption: seal bytes for one organization, and open them again."""

from typing import Protocol
from uuid import UUID


class Unreadable(Exception):
    """The bytes were not sealed for this organization and place, were changed, or their key is gone."""


class KeyRing(Protocol):
    """The data keys of all organizations, unwrapped on first use and remembered by the process.

    `bound_to` names the place a value belongs to, such as `secrets.value/<row id>`: sealed bytes copied to
    another place do not open there.
    """

    async def seal(self, organization_id: UUID, content: bytes, bound_to: str) -> bytes:
        """Encrypt with the organization's current data key; its first use makes that key."""
        ...

    async def open(self, organization_id: UUID, sealed: bytes, bound_to: str) -> bytes:
        """Decrypt with the key the bytes name, current or retired. Raises Unreadable."""
        ...

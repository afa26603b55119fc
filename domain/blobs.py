"""Where bytes too large for a row are kept."""

from typing import Protocol


class BlobMissing(Exception):
    """Nothing is stored under this key."""


class BlobStore(Protocol):
    """Objects by key, `<organization>/<what>/<id>`; what is confidential is sealed before it gets here."""

    async def put(self, key: str, content: bytes) -> None:
        """Store, replacing what was there."""
        ...

    async def get(self, key: str) -> bytes:
        """Raises BlobMissing."""
        ...

    async def delete(self, key: str) -> None:
        """Deleting what is not there is no error."""
        ...

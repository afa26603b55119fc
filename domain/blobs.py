"""Where bytes too large for a row are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.errors import DomainError


class BlobMissing(Exception):
    """Nothing is stored under this key."""


class BlobsUnavailable(DomainError):
    """The storage for large contents does not answer at this moment; nothing was changed. Try again shortly."""

    code = "storage_unavailable"


@dataclass(frozen=True, slots=True)
class Blob:
    """An object that is stored; `size` in bytes."""

    key: str
    size: int


class BlobStore(Protocol):
    """Objects by key, `<organization>/<what>/<id>`; what is confidential is sealed before it gets here.

    Every operation repeats safely, and raises BlobsUnavailable while the storage is away or not set up.
    """

    async def put(self, key: str, content: bytes) -> None:
        """Store, replacing what was there."""
        ...

    async def get(self, key: str) -> bytes:
        """Raises BlobMissing."""
        ...

    async def delete(self, key: str) -> None:
        """Deleting what is not there is no error."""
        ...

    async def under(self, prefix: str, *, after: str = "") -> Sequence[Blob]:
        """Up to 1 000 objects whose keys begin with `prefix` and follow `after`, in the order of their keys."""
        ...


class NoBlobs:
    """A platform without storage: what needs it fails with the operator's mend."""

    async def put(self, key: str, content: bytes) -> None:
        raise self._refusal()

    async def get(self, key: str) -> bytes:
        raise self._refusal()

    async def delete(self, key: str) -> None:
        raise self._refusal()

    async def under(self, prefix: str, *, after: str = "") -> Sequence[Blob]:
        """Nothing is stored: what is being erased or listed has no objects, and that is no failure."""
        return ()

    def _refusal(self) -> BlobsUnavailable:
        return BlobsUnavailable(
            "This platform stores no large contents; its operator sets PERDURE_S3_BUCKET (and …_ENDPOINT)."
        )

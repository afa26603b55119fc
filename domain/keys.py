"""What the rest of the product asks of encryption: seal bytes for one organization, and open them again."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID


class Unreadable(Exception):
    """The bytes were not sealed for this organization and place, were changed, or their key is gone."""


class MasterKeyMissing(Exception):
    """A data key is wrapped by a master key that the settings do not hold; `ids` names each."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = tuple(ids)
        names = ", ".join(repr(id) for id in self.ids)
        super().__init__(
            f"PERDURE_MASTER_KEYS lacks the master key {names}, under which data keys are stored. Put it back, "
            "behind the current one; `perdure rotate-keys --master` then makes it dispensable. If it is lost for "
            "ever, `perdure rotate-keys --give-up ID` deletes the data keys it wrapped, and whatever they sealed "
            "stays unreadable."
        )


class WrongMasterKey(MasterKeyMissing):
    """A master key bears the name under which a data key is stored, but does not open it.

    The value is not lost and nobody forged it: whoever handles a missing master key handles this.
    """

    def __init__(self, id: str) -> None:
        self.ids = (id,)
        Exception.__init__(
            self,
            f"the master key {id!r} in PERDURE_MASTER_KEYS does not open the data keys stored under this name: it "
            "is not the key that bore it, or their rows were changed. Put the right key back under this name, and "
            "give the other one a name of its own.",
        )


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

    def forget(self, organization_id: UUID) -> None:
        """Read the organization's keys anew when they are next needed."""
        ...


class NoKeys:
    """The KeyRing of a process that was given no keys: it neither seals nor opens."""

    async def seal(self, organization_id: UUID, content: bytes, bound_to: str) -> bytes:
        raise RuntimeError("nothing can be sealed: this process was wired without keys")

    async def open(self, organization_id: UUID, sealed: bytes, bound_to: str) -> bytes:
        raise Unreadable("this process was wired without keys")

    async def fingerprint(self, organization_id: UUID, content: bytes, bound_to: str) -> bytes:
        raise RuntimeError("nothing can be looked up: this process was wired without keys")

    async def fingerprints(self, organization_id: UUID, content: bytes, bound_to: str) -> list[bytes]:
        raise RuntimeError("nothing can be looked up: this process was wired without keys")

    def forget(self, organization_id: UUID) -> None:
        return None


class SearchableKeyRing(KeyRing, Protocol):
    """A KeyRing whose values can also be looked up by their exact content, through a blind index."""

    async def fingerprint(self, organization_id: UUID, content: bytes, bound_to: str) -> bytes:
        """The keyed hash to store beside a sealed value, 32 bytes; `bound_to` names the column, not the row."""
        ...

    async def fingerprints(self, organization_id: UUID, content: bytes, bound_to: str) -> list[bytes]:
        """Every keyed hash under which an equal value may stand: one for each key, retired ones included."""
        ...

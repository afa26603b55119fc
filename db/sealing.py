"""Bytes sealed with AES-256-GCM: how they are laid out, and what they are bound to.

sealed = version (1) · key id (16) · nonce (12) · ciphertext and tag. Version, organization, key id and place are
authenticated too, so bytes copied to another row, column or organization do not open there.
"""

import hmac
import os
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from domain.keys import Unreadable, WrongMasterKey

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_VERSION: Final = b"\x01"
_HEADER: Final = len(_VERSION) + 16 + NONCE_BYTES
_TAG: Final = 16


class DataKey:
    """One unwrapped key of one organization."""

    __slots__ = ("_aead", "_index_key", "_prefix", "id")

    def __init__(self, organization_id: UUID, id: UUID, key: bytes) -> None:
        self.id = id
        self._aead = AESGCM(key)
        self._prefix = _VERSION + organization_id.bytes + id.bytes
        # A key of its own for comparing: what is written beside ciphertexts must say nothing about their key.
        self._index_key = HKDFExpand(SHA256(), KEY_BYTES, b"perdure blind index").derive(key)

    def seal(self, content: bytes, bound_to: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        ciphertext = self._aead.encrypt(nonce, content, self._prefix + bound_to.encode())
        return b"".join((_VERSION, self.id.bytes, nonce, ciphertext))

    def open(self, sealed: bytes, bound_to: str) -> bytes:
        """Raises Unreadable for bytes that were changed, or sealed elsewhere."""
        try:
            return self._aead.decrypt(
                sealed[_HEADER - NONCE_BYTES : _HEADER], sealed[_HEADER:], self._prefix + bound_to.encode()
            )
        except InvalidTag:
            raise Unreadable(
                "the sealed value was changed, or belongs to another organization or place"
            ) from None

    def fingerprint(self, content: bytes, bound_to: str) -> bytes:
        """A keyed hash (32 bytes) that finds equal values without opening them."""
        return hmac.digest(self._index_key, bound_to.encode() + b"\0" + content, "sha256")


def prefix(key: UUID) -> bytes:
    """How everything begins that this key sealed."""
    return _VERSION + key.bytes


def key_id(sealed: bytes) -> UUID:
    """The data key that sealed these bytes. Raises Unreadable when nothing of ours sealed them."""
    if len(sealed) < _HEADER + _TAG or sealed[:1] != _VERSION:
        raise Unreadable("these bytes were not sealed by this product")
    return UUID(bytes=sealed[1:17])


def wrap(master: bytes, key: bytes, organization_id: UUID, id: UUID, master_key_id: str) -> bytes:
    """A data key as it stands in the database."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(master).encrypt(nonce, key, _wrapping(organization_id, id, master_key_id))


def unwrap(master: bytes, wrapped: bytes, organization_id: UUID, id: UUID, master_key_id: str) -> bytes:
    """Raises WrongMasterKey when another master key of the same name wrapped it, or the row was changed."""
    place = _wrapping(organization_id, id, master_key_id)
    try:
        return AESGCM(master).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], place)
    except (InvalidTag, ValueError):
        raise WrongMasterKey(master_key_id) from None


def _wrapping(organization_id: UUID, id: UUID, master_key_id: str) -> bytes:
    return b"perdure data key\x01" + organization_id.bytes + id.bytes + master_key_id.encode()

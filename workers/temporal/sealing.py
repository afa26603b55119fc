"""Payloads as they lie in Temporal: sealed with the data key of the organization that their workflow id names."""

from functools import lru_cache
from typing import Final
from uuid import UUID

from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload

from domain.errors import NotFound
from domain.keys import KeyRing, Unreadable
from workers.temporal.errors import KeysUnavailable

ENCODING: Final = b"binary/encrypted"
#: Names the execution a payload was sealed for; the codec server sees nothing but payloads.
SEALED_FOR: Final = "workflow-id"


class Refused(Exception):
    """This payload was not put into Temporal by us, or not for this execution."""


class Sealing:
    """Seals whole payloads, their inner metadata included; the outer metadata is authenticated with them."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def seal(self, payload: Payload, workflow_id: str) -> Payload:
        """Raises Refused when no organization owns the workflow id, and KeysUnavailable."""
        organization_id = _organization(workflow_id)
        try:
            sealed = await self._keys.seal(organization_id, payload.SerializeToString(), _place(workflow_id))
        except NotFound:
            raise Refused(f"'{workflow_id}' names no organization") from None
        except Exception as error:
            raise KeysUnavailable(organization_id) from error
        return Payload(metadata={"encoding": ENCODING, SEALED_FOR: workflow_id.encode()}, data=sealed)

    async def open(self, payload: Payload, workflow_id: str | None = None) -> Payload:
        """Raises Refused for what was not sealed for `workflow_id` (any, when None), and KeysUnavailable."""
        sealed_for = workflow_of(payload)
        if sealed_for is None:
            raise Refused("it is not sealed, so somebody else put it into Temporal")
        if workflow_id is not None and sealed_for != workflow_id:
            raise Refused("it was sealed for another execution")
        organization_id = _organization(sealed_for)
        try:
            content = await self._keys.open(organization_id, payload.data, _place(sealed_for))
        except Unreadable as error:
            raise Refused(str(error)) from error
        except Exception as error:
            raise KeysUnavailable(organization_id) from error
        try:
            return Payload.FromString(content)
        except DecodeError as error:
            raise Refused("what was sealed is no payload") from error


def workflow_of(payload: Payload) -> str | None:
    """The workflow id that a sealed payload says it belongs to; None for one that is not sealed."""
    if payload.metadata.get("encoding") != ENCODING:
        return None
    try:
        return payload.metadata[SEALED_FOR].decode() if SEALED_FOR in payload.metadata else None
    except UnicodeDecodeError:
        return None


def _place(workflow_id: str) -> str:
    # The encoding needs no binding: a payload of another encoding is never opened.
    return f"temporal/{workflow_id}"


@lru_cache(maxsize=4096)
def _organization(workflow_id: str) -> UUID:
    """Our ids begin with the organization; of a schedule's execution only that beginning is known."""
    organization, slash, _ = workflow_id.partition("/")
    try:
        if slash and len(organization) == 36:
            return UUID(organization)
    except ValueError:
        pass
    raise Refused(f"'{workflow_id[:200]}' names no organization")

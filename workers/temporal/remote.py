"""Sealing for whoever shows payloads: Temporal's UI and command line send them as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from temporalio.api.common.v1 import Payload

from domain.keys import KeyRing, Unreadable
from workers.temporal.sealing import Refused, Sealing, workflow_of


class RemoteSealing:
    """Implements the API's `SealedPayloads`."""

    def __init__(self, keys: KeyRing) -> None:
        self._sealing = Sealing(keys)

    def workflow_of(self, payload: Mapping[str, Any]) -> str | None:
        """The workflow id a sealed payload names; None for anything else."""
        try:
            return workflow_of(_read(payload))
        except Unreadable:
            return None

    async def open(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Raises Unreadable for what we did not seal; KeysUnavailable."""
        try:
            return _written(await self._sealing.open(_read(payload)))
        except Refused as refusal:
            raise Unreadable(str(refusal)) from refusal

    async def seal(self, workflow_id: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Raises Unreadable for what is no payload, or for an id of nobody's; KeysUnavailable."""
        try:
            return _written(await self._sealing.seal(_read(payload), workflow_id))
        except Refused as refusal:
            raise Unreadable(str(refusal)) from refusal


def _read(payload: Mapping[str, Any]) -> Payload:
    try:
        # Through text, since the parser of protobuf stumbles over some values that no JSON text contains.
        return ParseDict(json.loads(json.dumps(payload)), Payload(), ignore_unknown_fields=True)
    except (ParseError, ValueError, TypeError, RecursionError) as error:
        raise Unreadable("this is no payload of Temporal") from error


def _written(payload: Payload) -> dict[str, Any]:
    return MessageToDict(payload)

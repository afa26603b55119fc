"""Every payload on its way to Temporal is sealed, every payload from there opened, outside the workflow's code.

Headers and search attributes are not payloads: they carry ids and numbers, and stay readable.
"""

from collections.abc import Sequence
from typing import Final

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

from workers.temporal.sealing import Refused, Sealing

#: What could not be opened, in the place of a value: Temporal's worker drops a signal that holds it and fails an
#: execution that was started with it, instead of repeating the workflow task for ever.
REFUSED: Final = b"perdure/refused"
#: The same for what an activity is given or has answered; whoever looks at the value raises the fault.
UNOPENED: Final = b"perdure/unopened"


class SealingCodec(PayloadCodec, WithSerializationContext):
    """Works only within the context of an execution, whose id names the organization."""

    def __init__(self, sealing: Sealing, context: SerializationContext | None = None) -> None:
        self._sealing = sealing
        self._workflow_id: str | None = None
        self._refusal = REFUSED
        if isinstance(context, WorkflowSerializationContext):
            self._workflow_id = context.workflow_id
        elif isinstance(context, ActivitySerializationContext):
            self._workflow_id = context.workflow_id
            self._refusal = UNOPENED

    def with_context(self, context: SerializationContext) -> "SealingCodec":
        return SealingCodec(self._sealing, context)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Raises KeysUnavailable; whoever sends the payload tries again later."""
        return [await self._seal(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """What is not ours becomes a refusal, which the payload converter knows. Raises KeysUnavailable."""
        return [await self._open(payload) for payload in payloads]

    async def _seal(self, payload: Payload) -> Payload:
        if self._workflow_id is None:
            raise RuntimeError(
                "a payload outside of any execution has no organization whose key could seal it"
            )
        try:
            return await self._sealing.seal(payload, self._workflow_id)
        except Refused as refusal:
            # Somebody else's workflow in our queue: it learns why nothing is done for it, and holds nothing.
            return Payload(metadata={"encoding": b"json/plain"}, data=b'{"message": "%s"}' % _plain(refusal))

    async def _open(self, payload: Payload) -> Payload:
        try:
            return await self._sealing.open(payload, self._workflow_id)
        except Refused as refusal:
            return Payload(metadata={"encoding": self._refusal}, data=_plain(refusal))


def _plain(refusal: Refused) -> bytes:
    return str(refusal).encode("ascii", "replace").replace(b"\\", b"?").replace(b'"', b"'")

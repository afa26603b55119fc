"""A webhook that was understood: what its execution takes as input, and what it is told beside it."""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from api.hookrequests import read_json
from domain.executions import TriggerType
from domain.webhooks.configuration import Configuration
from domain.webhooks.content import content_of, input_of
from domain.webhooks.envelope import Envelope
from domain.webhooks.received import Received
from domain.webhooks.schemes import scheme_of
from domain.webhooks.telling import headers_told, query_told

#: Reading more than this would hold up everybody else's requests, so a thread does it.
_LARGE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """The content of the body, with headers and query as far as they are told."""

    request: Received
    content: Any
    headers: dict[str, str]
    query: dict[str, Any]

    def trigger(self, name: str, delivery_id: UUID, **further: Any) -> dict[str, Any]:
        """`$workflow.trigger` of the execution."""
        return {
            "type": TriggerType.WEBHOOK.value,
            "name": name,
            "headers": self.headers,
            "query": self.query,
            "delivery": str(delivery_id),
            **further,
        }

    def input(self, delivery_id: UUID) -> Any:
        """`$input`: the content, or where that is too large for a value, a reference to the delivery."""

        def reference() -> dict[str, Any]:
            return {
                "$delivery": str(delivery_id),
                "size": len(self.request.body),
                "sha256": hashlib.sha256(self.request.body).hexdigest(),
                "content_type": self.request.content_type or None,
            }

        return input_of(self.content, reference)

    def envelope(self) -> Envelope:
        return Envelope(self.request.method, self.headers, self.query, self.request.body)


async def understand(configuration: Configuration, request: Received, query: dict[str, Any]) -> Message:
    """Raises Malformed."""
    if len(request.body) > _LARGE:
        content = await asyncio.to_thread(content_of, request, configuration.body, read_json)
    else:
        content = content_of(request, configuration.body, read_json)
    headers = headers_told(request, scheme_of(configuration).carries)
    return Message(request, content, headers, query_told(query))

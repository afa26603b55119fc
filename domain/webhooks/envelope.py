"""What of a delivery is sealed for thirty days: the body, and the headers and query told beside it."""

import json
from dataclasses import dataclass, field
from typing import Any

from domain.webhooks.received import Received

_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Envelope:
    """Headers and query hold no credentials: they are what executions were told."""

    method: str
    headers: dict[str, str]
    query: dict[str, Any]
    body: bytes = field(repr=False)

    def pack(self) -> bytes:
        """A length, that many bytes of JSON, then the body as it was."""
        head = json.dumps({"method": self.method, "headers": self.headers, "query": self.query}).encode()
        return len(head).to_bytes(_LENGTH, "big") + head + self.body

    @classmethod
    def unpack(cls, packed: bytes) -> "Envelope":
        end = _LENGTH + int.from_bytes(packed[:_LENGTH], "big")
        return cls(**json.loads(packed[_LENGTH:end]), body=packed[end:])

    def request(self) -> Received:
        """The request again, as far as it was kept."""
        return Received(self.method, self.headers, b"", self.body)


def place(delivery_id: Any) -> str:
    """What the sealed bytes are bound to."""
    return f"deliveries.body/{delivery_id}"

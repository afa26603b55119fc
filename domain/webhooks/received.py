"""A request as it arrived."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Received:
    """Names of headers are in lower case; the body is exactly what was sent, for signatures are over bytes."""

    method: str
    headers: Mapping[str, str]
    query: bytes
    body: bytes

    @property
    def content_type(self) -> str:
        """The media type alone, in lower case; empty when none was sent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; a repeated one is a list with commas, as HTTP says."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found

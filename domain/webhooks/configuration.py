"""What a webhook trigger is configured to accept, read from the JSON that validation has found sound."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal

from domain.definitions import durations

TOLERANCE_SECONDS: Final = 300
#: Requests without an event id count as repeats of an equal one this long.
WINDOW_SECONDS: Final = 300
METHODS: Final = ("POST", "PUT", "PATCH", "GET")
Algorithm = Literal["sha256", "sha512"]
Encoding = Literal["hex", "base64"]


class SchemeName(StrEnum):
    STANDARD = "standard-webhooks"
    STRIPE = "stripe"
    GITHUB = "github"
    HMAC = "hmac"
    BEARER = "bearer"
    BASIC = "basic"
    URL = "url"


class BodyKind(StrEnum):
    AUTO = "auto"
    JSON = "json"
    FORM = "form"
    RAW = "raw"


class Challenge(StrEnum):
    #: A signed JSON body `{"type": "url_verification", "challenge": …}`, as Slack sends it.
    JSON = "json"
    #: `GET ?hub.mode=subscribe&hub.challenge=…&hub.verify_token=…`, as WebSub and Meta send it.
    HUB = "hub"
    #: `?validationToken=…`, as Microsoft Graph sends it.
    VALIDATION_TOKEN = "validation-token"  # noqa: S105  the name of a handshake


@dataclass(frozen=True, slots=True)
class Signature:
    """How a configurable HMAC is made; `signs` is a text with {body} and perhaps {timestamp}."""

    header: str
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""
    timestamp_header: str | None = None
    signs: str = "{body}"


@dataclass(frozen=True, slots=True)
class Configuration:
    scheme: SchemeName
    signature: Signature | None = None
    methods: frozenset[str] = frozenset({"POST"})
    body: BodyKind = BodyKind.AUTO
    #: Where the provider's own id of the event stands: a header, or an expression over the body.
    event_id_header: str | None = None
    event_id_expression: str | None = None
    tolerance: int = TOLERANCE_SECONDS
    #: Seconds; where a moment is signed never shorter than a copied request is believed.
    window: int = WINDOW_SECONDS
    challenge: Challenge | None = None
    #: Seconds to wait for the result; 0 answers as soon as the request is accepted.
    wait: int = 0

    @classmethod
    def parse(cls, stored: Mapping[str, Any]) -> "Configuration":
        event_id = stored.get("event_id", {})
        scheme = SchemeName(stored["scheme"])
        signature = _signature(stored["signature"]) if scheme is SchemeName.HMAC else None
        tolerance = _seconds(stored.get("tolerance"), TOLERANCE_SECONDS)
        least = copyable_seconds(tolerance) if _signs_time(scheme, signature) else 0
        return cls(
            scheme=scheme,
            signature=signature,
            methods=frozenset(stored.get("methods", ("POST",))),
            body=BodyKind(stored.get("body", BodyKind.AUTO)),
            event_id_header=event_id.get("header"),
            event_id_expression=event_id.get("expression"),
            tolerance=tolerance,
            window=max(_seconds(stored.get("deduplicate_within"), WINDOW_SECONDS), least),
            challenge=Challenge(stored["challenge"]) if stored.get("challenge") else None,
            wait=_seconds(stored.get("wait"), 0),
        )


def copyable_seconds(tolerance: int) -> int:
    """How long a copied request is believed: its moment may lie ahead as far as behind; moments are whole seconds."""
    return 2 * tolerance + 1


def _signs_time(scheme: SchemeName, signature: Signature | None) -> bool:
    if signature is not None:
        return signature.timestamp_header is not None
    return scheme in (SchemeName.STANDARD, SchemeName.STRIPE)


def _signature(stored: Mapping[str, Any]) -> Signature:
    timestamp_header = stored.get("timestamp_header")
    return Signature(
        header=stored["header"],
        algorithm=stored.get("algorithm", "sha256"),
        encoding=stored.get("encoding", "hex"),
        prefix=stored.get("prefix", ""),
        timestamp_header=timestamp_header,
        signs=stored.get("signs", "{timestamp}.{body}" if timestamp_header else "{body}"),
    )


def _seconds(written: Any, otherwise: int) -> int:
    return otherwise if written is None else int(durations.parse(written).total_seconds())

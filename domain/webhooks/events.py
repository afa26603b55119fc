"""Which event a request is about: the key under which it is accepted once."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.definitions.expressions import (
    ExpressionError,
    FuelExhausted,
    Meter,
    compile_expression,
    strip_expression,
)
from domain.webhooks.configuration import Configuration
from domain.webhooks.received import Received
from domain.webhooks.schemes import scheme_of
from domain.webhooks.verdicts import Malformed

LONGEST_ID = 255
#: About three milliseconds: an event id is a field or two away.
_FUEL = 5_000


@dataclass(frozen=True, slots=True)
class Event:
    """`key` is unique per trigger; with `lasting` for good, otherwise for the trigger's window.

    `id` is the provider's own name of the event, if it gave one.
    """

    key: str
    id: str | None
    lasting: bool


def event_of(configuration: Configuration, request: Received, content: Any) -> Event:
    """Raises Malformed when the configured place holds no usable id: guessing would start things twice."""
    id = _configured(configuration, request, content) or scheme_of(configuration).event_id(request)
    if id is not None:
        if len(id) > LONGEST_ID or not id.isprintable():
            raise Malformed(f"The event's id has more than {LONGEST_ID} characters or unprintable ones.")
        return Event(f"id:{id}", id, lasting=True)
    return Event(f"sha256:{_fingerprint(configuration, request)}", None, lasting=False)


def _fingerprint(configuration: Configuration, request: Received) -> str:
    """Where the body is signed, method and query are not: a copied request would look new with `?x=1`."""
    if scheme_of(configuration).signs_body:
        return hashlib.sha256(request.body).hexdigest()
    return hashlib.sha256(b"\n".join((request.method.encode(), request.query, request.body))).hexdigest()


def _configured(configuration: Configuration, request: Received, content: Any) -> str | None:
    if configuration.event_id_header is not None:
        found = request.headers.get(configuration.event_id_header.lower())
        if not found:
            raise Malformed(f"The header {configuration.event_id_header}, which names the event, is missing.")
        return found
    if configuration.event_id_expression is None:
        return None
    return _evaluated(configuration.event_id_expression, content, {})


def _evaluated(source: str, content: Any, scope: Mapping[str, Any]) -> str:
    try:
        value = compile_expression(strip_expression(source)).evaluate(content, dict(scope), Meter(_FUEL))
    except ExpressionError as error:
        raise Malformed(f"The expression for the event's id fails on this body: {error.message}") from None
    except FuelExhausted:
        raise Malformed("The expression for the event's id takes too long on this body.") from None
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise Malformed("The expression for the event's id finds no text or whole number in this body.")
    return str(value)

"""From a JSON Schema to fields: what each part of it is drawn as, within bounds a hostile schema cannot leave."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, tzinfo
from typing import Any

from domain.definitions.schemas import SchemaRefused, compile_schema
from domain.definitions.values import Json, check_value, quote

from .fields import ABSENT, Field, Form, Kind, Maybe
from .flattening import Flattener, TooMuch, is_object
from .hints import hints_of, label_of, prose_of
from .options import MOST_OPTIONS, listed, options_of
from .weighing import MOST_CONTROLS, weight

MOST_FIELDS = 200
DEEPEST = 5
MOST_ROWS = 50
_LONG = 200
_FORMATS = {
    "date": Kind.DATE,
    "date-time": Kind.MOMENT,
    "email": Kind.EMAIL,
    "idn-email": Kind.EMAIL,
    "uri": Kind.URI,
    "iri": Kind.URI,
    "multi-line": Kind.LINES,
    "textarea": Kind.LINES,
}


def form_of(schema: Mapping[str, Any] | bool, *, zone: tzinfo = UTC) -> Form:
    """The form of any schema; moments are given and shown in `zone`.

    A schema that cannot be used gets a JSON area whose every answer is refused with the reason.
    """
    asked: Json = dict(schema) if isinstance(schema, Mapping) else schema
    try:
        compiled = compile_schema(asked)
    except SchemaRefused as refusal:
        return Form(_area("", "Answer", {}, required=True, demanded=False), zone, None, str(refusal))
    document = check_value(asked, max_bytes=131_072)
    artist = _Artist(document, zone)
    try:
        root = artist.field("", document, required=True, demanded=True, depth=0, default=ABSENT)
        if weight(root) > MOST_CONTROLS:
            raise TooMuch
    except TooMuch:
        root = _area("", "Answer", document, required=True, demanded=True)
    return Form(root, zone, compiled)


class _Artist:
    def __init__(self, document: Json, zone: tzinfo) -> None:
        self.zone = zone
        self.flattener = Flattener(document)
        self.drawn = 0

    def field(
        self, key: str, schema: Json, *, required: bool, demanded: bool, depth: int, default: Maybe
    ) -> Field:
        self.drawn += 1
        if self.drawn > MOST_FIELDS:
            raise TooMuch
        flat = self.flattener.flat(schema)
        if flat is None:
            return _area(key, label_of(key, {}), schema, required=required, demanded=demanded)
        plain, nullable = flat
        if default is ABSENT and "default" in plain and plain["default"] is not None:
            default = plain["default"]
        base = Field(
            key,
            label_of(key, plain),
            Kind.JSON,
            prose_of(plain),
            required,
            demanded and required,
            default,
            None if nullable else ABSENT,
        )
        return self.typed(base, plain, depth) or _area_of(base, plain)

    def typed(self, base: Field, plain: dict[str, Any], depth: int) -> Field | None:
        kind = plain.get("type")
        if "const" in plain:
            return _constant(base, plain["const"])
        choices = options_of(plain)
        if choices is not None:
            return _with(base, kind=Kind.CHOICE, options=choices) if choices else None
        if kind == "boolean":
            return _boolean(base)
        if kind in ("integer", "number", "string"):
            drawn = Kind(kind) if kind != "string" else _text(plain)
            return _with(base, kind=drawn, hints=hints_of(plain, drawn, self.zone))
        if kind == "array":
            return self.array(base, plain, depth)
        return self.group(base, plain, depth) if is_object(plain) else None

    def group(self, base: Field, plain: dict[str, Any], depth: int) -> Field | None:
        """An object whose members are all named; other alternatives between objects are JSON."""
        properties = plain["properties"]
        if not properties and plain.get("additionalProperties") is not False:
            return None
        if depth >= DEEPEST or self.flattener.names_beyond(plain, properties):
            return None
        needed = [name for name in plain.get("required", []) if isinstance(name, str)]
        given = base.default if isinstance(base.default, dict) else {}
        members = tuple(
            self.field(
                name,
                properties[name],
                required=name in needed,
                demanded=base.demanded,
                depth=depth + 1,
                default=given.get(name, ABSENT),
            )
            for name in _ordered(plain, properties, needed)
            if properties[name] is not False
        )
        return _with(base, kind=Kind.GROUP, members=members)

    def array(self, base: Field, plain: dict[str, Any], depth: int) -> Field | None:
        items = plain.get("items")
        if not isinstance(items, dict) or any(word in plain for word in ("prefixItems", "contains")):
            return None
        if depth >= DEEPEST:
            return None
        plain_items = {name: value for name, value in items.items() if name != "default"}
        item = self.field("", plain_items, required=False, demanded=False, depth=depth + 1, default=ABSENT)
        if item.kind in (Kind.LIST, Kind.SEVERAL, Kind.TICK, Kind.FIXED):
            return None
        if item.kind is not Kind.GROUP:
            item = _with(item, default=ABSENT)
        hints = hints_of(plain, Kind.LIST, self.zone)
        if item.kind is Kind.CHOICE and plain.get("uniqueItems") is True:
            return _with(base, kind=Kind.SEVERAL, options=item.options, hints=hints)
        least, most = plain.get("minItems", 0), plain.get("maxItems", MOST_ROWS)
        if not isinstance(least, int) or not isinstance(most, int) or least > MOST_ROWS:
            return None
        most = min(most, MOST_ROWS)
        blank = [] if base.blank is ABSENT else base.blank
        return _with(base, kind=Kind.LIST, item=item, least=least, most=most, hints=hints, blank=blank)


def _ordered(plain: dict[str, Any], properties: Iterable[str], needed: list[str]) -> list[str]:
    """PostgreSQL keeps no order of members, so lists decide: `x-order`, then `required`, then the rest."""
    wished = plain.get("x-order")
    wished = [name for name in wished if isinstance(name, str)] if isinstance(wished, list) else []
    known = set(properties)
    return list(dict.fromkeys(name for name in (*wished, *needed, *properties) if name in known))


def _constant(base: Field, value: Json) -> Field:
    """Required, it needs no answer, unless the answer is a consent: then it has to be ticked."""
    label = value if isinstance(value, str) else quote(value, 200)
    options = listed([(value, label)])
    is_asked = value is True or not base.required
    return _with(base, kind=Kind.TICK if is_asked else Kind.FIXED, options=options)


def _boolean(base: Field) -> Field:
    """A default is what an untouched box says; without one, a person says yes or no."""
    options = listed([(True, "Yes"), (False, "No")])
    return _with(base, kind=Kind.TICK if isinstance(base.default, bool) else Kind.CHOICE, options=options)


def _text(plain: dict[str, Any]) -> Kind:
    kind = _FORMATS.get(str(plain.get("format")), Kind.TEXT)
    media = plain.get("contentMediaType")
    longest = plain.get("maxLength")
    is_long = isinstance(longest, int) and longest > _LONG
    return Kind.LINES if kind is Kind.TEXT and (is_long or str(media).startswith("text/")) else kind


def _area_of(base: Field, plain: dict[str, Any]) -> Field:
    empty: dict[str, Maybe] = {"object": {}, "array": []}
    blank = empty.get(str(plain.get("type")), ABSENT) if base.blank is ABSENT else base.blank
    return _with(base, kind=Kind.JSON, schema=_shown(plain), blank=blank, hints=("As JSON.",))


def _area(key: str, title: str, schema: Json, *, required: bool, demanded: bool) -> Field:
    return Field(
        key,
        title,
        Kind.JSON,
        required=required,
        demanded=demanded and required,
        hints=("As JSON.",),
        schema=_shown(schema),
    )


def _shown(schema: Json) -> str:
    text = json.dumps(schema, indent=2, ensure_ascii=False)
    return text if len(text) <= 8_000 else text[:8_000] + "\n…"


def _with(base: Field, **changes: Any) -> Field:
    return replace(base, **changes)


__all__ = ["DEEPEST", "MOST_FIELDS", "MOST_OPTIONS", "MOST_ROWS", "form_of"]

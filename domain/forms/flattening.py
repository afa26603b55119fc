"""One plain schema of what refers, adds up or allows null: the part of JSON Schema a control can follow."""

from typing import Any
from urllib.parse import unquote

from domain.definitions.values import Json

_MOST_WORK = 2_000
_BRANCHES = ("if", "then", "else", "not")
_BRANCH_LISTS = ("allOf", "anyOf", "oneOf")
_BRANCH_MAPS = ("dependentSchemas", "dependencies")
_NULL: Json = {"type": "null"}


class TooMuch(Exception):
    """The schema would make a form of more parts than anybody fills in."""


def is_object(plain: dict[str, Any]) -> bool:
    return plain.get("type", "object") == "object" and "properties" in plain


class Flattener:
    def __init__(self, document: Json) -> None:
        self.document = document
        self.left = _MOST_WORK

    def flat(self, schema: Json) -> tuple[dict[str, Any], bool] | None:
        """A schema without `$ref`, `allOf` and null, and whether null is allowed; None for what is not plain."""
        plain = self._merged(schema, 0)
        if plain is None:
            return None
        nullable = False
        for word in ("anyOf", "oneOf"):
            parts = plain.get(word)
            if isinstance(parts, list) and len(parts) == 2 and _NULL in parts:
                other = self._merged(parts[1 - parts.index(_NULL)], 0)
                if other is None:
                    return None
                rest = {name: value for name, value in plain.items() if name != word}
                plain, nullable = _overlay(other, rest), True
        types = plain.get("type")
        if isinstance(types, list):
            kinds = [each for each in types if each != "null"]
            if len(kinds) != 1:
                return None if "enum" not in plain and "const" not in plain else (plain, nullable)
            plain, nullable = {**plain, "type": kinds[0]}, nullable or len(types) > 1
        return plain, nullable

    def names_beyond(self, plain: dict[str, Any], known: dict[str, Any]) -> bool:
        """Whether conditions or alternatives speak of members that have no field of their own."""
        if "patternProperties" in plain:
            return True
        return any(not self._names(part, 0) <= known.keys() for part in _branches(plain))

    def _names(self, schema: Json, depth: int) -> set[str]:
        plain = self._merged(schema, depth) if depth < 10 else None
        if plain is None:
            return set() if isinstance(schema, bool) else {""}
        names = set(plain["properties"]) if isinstance(plain.get("properties"), dict) else set()
        names |= {name for name in plain.get("required", []) if isinstance(name, str)}
        for part in _branches(plain):
            names |= self._names(part, depth + 1)
        return names

    def _merged(self, schema: Json, depth: int) -> dict[str, Any] | None:
        self.left -= 1
        if self.left < 0:
            raise TooMuch
        if not isinstance(schema, dict) or depth > 20:
            return None
        plain: dict[str, Any] = schema
        if "$ref" in plain:
            target = self._merged(self._resolved(plain["$ref"]), depth + 1)
            if target is None:
                return None
            plain = _overlay(target, {name: value for name, value in plain.items() if name != "$ref"})
        parts = plain.get("allOf")
        if isinstance(parts, list):
            rest = {name: value for name, value in plain.items() if name != "allOf"}
            kept: list[Json] = []
            for part in parts:
                inner = self._merged(part, depth + 1)
                if inner is None or any(word in inner for word in ("if", "anyOf", "oneOf", "not")):
                    kept.append(part)
                else:
                    rest = _overlay(inner, rest)
            plain = {**rest, "allOf": kept} if kept else rest
        return plain

    def _resolved(self, reference: Json) -> Json:
        """What a pointer into the schema leads to; True, which is not plain, for anchors."""
        target: Any = self.document
        fragment = unquote(str(reference)[1:])
        if fragment and not fragment.startswith("/"):
            return True
        for token in fragment.split("/")[1:]:
            name = token.replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict) and name in target:
                target = target[name]
            elif isinstance(target, list) and name.isdecimal() and int(name[:9]) < len(target):
                target = target[int(name[:9])]
            else:
                return True
        return target  # type: ignore[no-any-return]  # a part of the document is JSON


def _branches(plain: dict[str, Any]) -> list[Json]:
    found: list[Json] = [plain[word] for word in _BRANCHES if word in plain]
    for word in _BRANCH_LISTS:
        if isinstance(plain.get(word), list):
            found += plain[word]
    for word in _BRANCH_MAPS:
        if isinstance(plain.get(word), dict):
            found += plain[word].values()
    return [part for part in found if isinstance(part, dict)]


def _overlay(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Both: members and demands add up, of other words the outer one stands."""
    merged = {**base, **over}
    if isinstance(base.get("properties"), dict) and isinstance(over.get("properties"), dict):
        merged["properties"] = {**base["properties"], **over["properties"]}
    if isinstance(base.get("required"), list) and isinstance(over.get("required"), list):
        merged["required"] = [*base["required"], *over["required"]]
    return merged

"""References within an OpenAPI document, followed a bounded number of steps."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

MAX_HOPS: Final = 16
#: Schemas looked at for the names of one body's fields, and the most names.
MAX_SCHEMAS: Final = 200
MAX_FIELDS: Final = 1000


class Unusable(Exception):
    """What of a document hinders a call, as the rest of a sentence."""


class Document:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root

    def object(self, value: Any) -> dict[str, Any]:
        """The object a value is or refers to. Raises Unusable for circles and for other documents."""
        for _ in range(MAX_HOPS):
            if not isinstance(value, dict):
                break
            reference = value.get("$ref")
            if reference is None:
                return value
            value = self._at(reference)
        else:
            raise Unusable(f"a $ref leads over more than {MAX_HOPS} others, perhaps in a circle")
        raise Unusable("a part of it is not an object")

    def _at(self, reference: Any) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise Unusable(
                "a $ref leads to another document, which is not followed; bundle the documents into one"
            )
        value: Any = self.root
        for token in reference[1:].split("/")[1:]:
            name = unquote(token).replace("~1", "/").replace("~0", "~")
            if isinstance(value, dict) and name in value:
                value = value[name]
            elif isinstance(value, list) and name.isdecimal() and len(name) < 6 and int(name) < len(value):
                value = value[int(name)]
            else:
                raise Unusable(f"$ref {reference[:100]!r} leads nowhere")
        return value

    def fields(self, schema: Any) -> set[str]:
        """Names of the properties a schema tells, those of its `allOf` included; for names alone nothing fails."""
        names: set[str] = set()
        pending, looked = [schema], 0
        while pending and looked < MAX_SCHEMAS and len(names) < MAX_FIELDS:
            looked += 1
            try:
                found = self.object(pending.pop())
            except Unusable:
                continue
            properties, parts = found.get("properties"), found.get("allOf")
            names.update(list(properties)[:MAX_FIELDS] if isinstance(properties, dict) else ())
            pending.extend(parts[:MAX_SCHEMAS] if isinstance(parts, list) else ())
        return names

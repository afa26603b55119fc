"""Documents grown from the JSON Schema of the DSL itself, so that nothing the schema knows is left out.

What the schema cannot say (that expressions compile, that names are declared) is added here, so that most
documents have a meaning; `mutated` then makes one of them wrong, or right in another way.
"""

import copy
from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st

from domain.definitions.model import NOT_YET

Draw = Any

EXPRESSIONS: Final = (".a", "${ .a }", "true", "$context.b", "${ $input | length > 2 }", '.a == "x"')
URIS: Final = ("https://example.org/things", "https://example.org/{id}", "errors/none")
DURATIONS: Final = ("PT5S", "P1DT2H", "PT1.5M", {"seconds": 3}, {"days": 1, "hours": 2}, '${ "PT5S" }')
CONDITIONS: Final = frozenset({"if", "when", "exceptWhen", "while", "in", "until", "expect"})
#: What stands in `use` for everybody to refer to.
USE: Final[dict[str, Any]] = {
    "timeouts": {"slow": {"after": "P1D"}},
    "retries": {"again": {"limit": {"attempt": {"count": 2}}}},
    "errors": {"broken": {"type": "https://example.org/broken", "status": 500}},
    "authentications": {"login": {"basic": {"username": "a", "password": "b"}}},
}
#: Texts by the property they stand at; where a name alone is ambiguous, with the one around it.
TEXTS: Final[dict[str | tuple[str, str], tuple[str, ...]]] = {
    **dict.fromkeys(CONDITIONS, EXPRESSIONS),
    ("output", "as"): EXPRESSIONS,
    ("export", "as"): EXPRESSIONS,
    "from": EXPRESSIONS,
    ("catch", "as"): ("error", "problem"),
    ("for", "each"): ("entry", "thing"),
    ("for", "at"): ("position",),
    ("foreach", "item"): ("event",),
    ("foreach", "at"): ("position",),
    "timeout": ("slow",),
    "retry": ("again",),
    "error": ("broken",),
    "use": ("login",),
    "set": ("${ .a }", "."),
    "call": ("other",),
    "language": ("jq",),
    "cron": ("0 9 * * 1", "*/5 * * * *"),
    "method": ("get", "post"),
    "format": ("json",),
    "version": ("1.0.0",),
    "time": ("2026-01-02T03:04:05Z",),
    "instance": ("/do/0/a",),
    "type": ("com.example.done",),
}
HEADER: Final = {"dsl": "1.0.3", "namespace": "acme", "name": "sample", "version": "1.0.0"}
#: Calls of actions, which the schema does not describe.
CALLS: Final[tuple[dict[str, Any], ...]] = (
    {"call": "data.template", "with": {"text": "Hello ${ .name }"}},
    {"call": "client.get:1.0.0@default", "with": {"id": "${ .id }"}},
    {"call": "approve", "with": {"title": "Go on?", "due": "P3D"}},
)
JUNK: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        False,
        0,
        7,
        -1,
        1.5,
        3.0,
        "",
        "text",
        ".a",
        "${ .a }",
        "${ .a",
        " ${ .a } ",
        "end",
        "PT5S",
    ),
    *("3 days", "P1M", "-P1D", "slow", "http", "https://x/y", [], {}, ["text"], [{}], {"a": 1}, [1]),
    *({"after": "PT1S"}, {"use": "login"}, {"set": {"a": 1}}, [{"x": {"set": {"a": 1}}}], {"type": "x"}),
)


class Grower:
    """Grows values that satisfy parts of the schema.

    `words` are the keywords of steps it uses. What is `sensible` runs: no calls and processes that are refused,
    no two defaults of a switch.
    """

    def __init__(
        self, draw: Draw, schema: Mapping[str, Any], words: tuple[str, ...], *, sensible: bool = False
    ) -> None:
        self._draw = draw
        self._schema = schema
        self._words = words
        self._sensible = sensible
        self._names = 0

    def document(self, parts: tuple[str, ...]) -> dict[str, Any]:
        properties = self._schema["properties"]
        document: dict[str, Any] = {"document": self._header(), "do": self._steps(0)}
        for part in parts:
            if self._sometimes(0.4):
                document[part] = self.value(properties[part], (part,), 1)
        use = document.setdefault("use", {})
        for part, declared in USE.items():
            if self._sensible and f"use.{part}" in NOT_YET:
                continue
            use[part] = {**use.get(part, {}), **declared}
        return document

    def value(self, schema: Any, path: tuple[str, ...], depth: int) -> Any:
        """Anything the schema allows at the path."""
        if schema is True or schema == {}:
            return copy.deepcopy(self._one([1, "text", {"a": 2}, [True]]))
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            grown = self._named(name, path, depth)
            if grown is not None:
                return grown
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            return self.value(_merged(self._schema["$defs"][name], rest), path, depth)
        if "allOf" in schema:
            return self.value(self._whole(schema), path, depth)
        if "const" in schema or "enum" in schema:
            return schema["const"] if "const" in schema else self._one(schema["enum"])
        for choice in ("oneOf", "anyOf"):
            if choice in schema:
                rest = {key: value for key, value in schema.items() if key != choice}
                choices = [each for each in schema[choice] if not (self._sensible and _is_refused(each))]
                return self.value(_merged(rest, self._one(choices)), path, depth)
        match schema.get("type"):
            case "string":
                return self._text(path)
            case "integer":
                return self._one([0, 1, 3, 404])
            case "boolean":
                return self._one([True, False])
            case "array":
                return [self.value(schema["items"], path, depth + 1) for _ in range(self._number(1, 2))]
            case _:
                return self._object(schema, path, depth)

    def _object(self, schema: Mapping[str, Any], path: tuple[str, ...], depth: int) -> dict[str, Any]:
        schema = self._whole(schema)
        properties = schema.get("properties", {})
        required = schema.get("required", ())
        grown = {}
        for name, inner in properties.items():
            if inner is False:
                continue
            if name in required or self._sometimes(0.5 if depth < 6 else 0.1):
                grown[name] = self.value(inner, (*path, name), depth + 1)
        missing = schema.get("minProperties", 0) - len(grown)
        if missing > 0 and properties:
            name = self._one(sorted(properties))
            grown[name] = self.value(properties[name], (*path, name), depth + 1)
        elif not properties:
            more = schema.get("additionalProperties")
            for _ in range(self._number(max(missing, 0), max(missing, 1))):
                name = self._name()
                grown[name] = self.value({} if more in (None, True) else more, (*path, name), depth + 1)
        return grown

    def _whole(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """A schema together with all that `allOf` adds to it."""
        whole = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema.get("allOf", ()):
            named = self._schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
            whole = _merged(whole, named)
        return whole

    def _named(self, name: str, path: tuple[str, ...], depth: int) -> Any:
        match name:
            case "taskList":
                return self._steps(depth)
            case "task":
                return self._step(depth)
            case "duration":
                return copy.deepcopy(self._one(DURATIONS))
            case "runtimeExpression":
                return self._one(["${ .a }", "${ $context }"])
            case "uriTemplate":
                return self._one(URIS)
            case "flowDirective":
                return self._one(["continue", "exit", "end"])
            case "schema":
                return {"document": {"type": "object"}, **self._one([{}, {"format": "json"}])}
        return None

    def _steps(self, depth: int) -> list[dict[str, Any]]:
        return [{self._name(): self._step(depth)} for _ in range(self._number(1, 3 if depth < 3 else 1))]

    def _step(self, depth: int) -> dict[str, Any]:
        word = self._one(self._words if depth < 8 else ("set", "wait"))
        task = self._schema["$defs"][f"{word}Task"]
        step = self.value(task, (), max(depth, 3))
        if word == "call" and step["call"] == "other":
            step |= copy.deepcopy(self._one(CALLS))
        if word == "emit" and self._sensible:
            step["emit"]["event"].setdefault("with", {"type": "com.example.done"})
        if word == "switch" and self._sensible:
            for case in [body for entry in step["switch"][:-1] for body in entry.values()]:
                case["when"] = ".a"
        if "then" in step and step["then"] != "continue":
            step["if"] = ".a"  # or nothing would lead to what stands behind it
        if word == "raise":
            step["if"] = ".a"
        return step

    def _header(self) -> dict[str, Any]:
        more = {"title": "A", "summary": "B", "tags": {"c": "d"}, "metadata": {"e": 1}}
        return {**HEADER, **{name: value for name, value in more.items() if self._sometimes(0.2)}}

    def _text(self, path: tuple[str, ...]) -> str:
        texts = TEXTS.get(path[-2:]) if len(path) > 1 else None
        return self._one(texts or TEXTS.get(path[-1] if path else "", ("text", "other")))

    def _name(self) -> str:
        self._names += 1
        return f"s{self._names}"

    def _one(self, choices: Any) -> Any:
        return self._draw(st.sampled_from(choices))

    def _number(self, least: int, most: int) -> int:
        return self._draw(st.integers(least, most))

    def _sometimes(self, share: float) -> bool:
        return bool(self._draw(st.integers(0, 99)) < share * 100)


def _is_refused(schema: Mapping[str, Any]) -> bool:
    """Processes and calls that this version refuses or does not run."""
    if {"container", "script", "shell"} & set(schema.get("required", ())):
        return True
    parts = [part.get("properties", {}) for part in schema.get("allOf", ()) if isinstance(part, dict)]
    return any(part.get("call", {}).get("const") in ("grpc", "asyncapi", "a2a", "mcp") for part in parts)


def _merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Two schemas as one."""
    merged = {**base, **more}
    properties = {**base.get("properties", {}), **more.get("properties", {})}
    never = [n for each in (base, more) for n, inner in each.get("properties", {}).items() if inner is False]
    if properties:
        merged["properties"] = {**properties, **dict.fromkeys(never, False)}
    if required := [*base.get("required", ()), *more.get("required", ())]:
        merged["required"] = required
    return merged


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every value inside."""
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


@st.composite
def mutated(draw: Draw, document: dict[str, Any], words: tuple[str, ...]) -> dict[str, Any]:
    """The document with one thing changed somewhere."""
    changed = copy.deepcopy(document)
    place = draw(st.sampled_from([p for p in places(changed) if (p and p[0] != "use") or len(p) > 2]))
    holder: Any = changed
    for key in place[:-1]:
        holder = holder[key]
    key, old = place[-1], holder[place[-1]]
    match draw(st.sampled_from(("replace", "remove", "rename", "add", "repeat", "wrap"))):
        case "replace":
            holder[key] = copy.deepcopy(draw(st.sampled_from(JUNK)))
        case "remove":
            del holder[key]
        case "rename" if isinstance(holder, dict):
            new = draw(st.sampled_from(words))
            items = [(new if name == key else name, value) for name, value in holder.items()]
            holder.clear()
            holder.update(items)
        case "add" if isinstance(old, dict):
            old[draw(st.sampled_from(words))] = copy.deepcopy(draw(st.sampled_from(JUNK)))
        case "repeat" if isinstance(holder, list):
            holder.append(copy.deepcopy(old))
        case _:
            holder[key] = [old]
    return changed

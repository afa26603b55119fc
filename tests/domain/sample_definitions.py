"""A definition that uses everything this version runs, and what to put into it to make it wrong."""

import copy
from typing import Any

from hypothesis import strategies as st

from domain.definitions import documents

SOUND = """
- collect:
    if: .amount > 100
    input: {schema: {document: {type: object}}, from: .body}
    set: {amount: "${ .amount }", note: plain, deep: {list: [1, "${ $context.fee }"]}}
    output: {as: "${ . }"}
    export: {as: "$context + {amount: $output.amount}", schema: {format: json, document: {}}}
    metadata: {owner: finance}
- route:
    switch:
      - big: {when: .amount > 1000, then: approval}
      - rest: {then: send}
- approval:
    call: approve:1.0.0@default
    with: {title: "Approve ${ .amount } for ${ $input.name }", due: 3 days, assignees: ["role:finance"]}
- each:
    for: {each: line, in: .lines, at: number}
    while: $number < 10
    do:
      - inner:
          set: {line: "${ $line }", outer: "${ $steps.collect.amount }"}
          then: exit
- pause: {wait: {minutes: 5}}
- until: {wait: "${ .delay }"}
- send:
    call: http
    with: {method: post, endpoint: "https://example.org/{id}", headers: {X-Id: "${ $workflow.id }"}}
    then: collect
"""


def steps(text: str) -> dict[str, Any]:
    """A definition from the YAML of its steps."""
    return {"do": documents.load(text).value}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["${ .x }", "${ $steps.a }", "end", "http", "email.send", "P1D", "$context", "file:///x"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
WORDS = sorted(
    {
        "do",
        "for",
        "while",
        "set",
        "switch",
        "wait",
        "call",
        "with",
        "fork",
        "try",
        "catch",
        "run",
        "if",
        "input",
        "output",
    }
    | {
        "export",
        "schema",
        "document",
        "from",
        "as",
        "then",
        "when",
        "in",
        "each",
        "at",
        "timeout",
        "metadata",
        "use",
    }
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    value = copy.copy(value)
    value[path[0]] = replaced(value[path[0]], path[1:], new)
    return value


WHOLE = {
    "document": {"dsl": "1.0.3", "namespace": "a", "name": "b", "version": "1.0.0"},
    "input": {"schema": {"document": {"type": "object"}}},
    **steps(SOUND),
}
PLACES = places(WHOLE)

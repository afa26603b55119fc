"""What validation says of `listen` and `emit`: where, what, and how to mend it."""

import pytest

from domain.definitions import documents
from domain.definitions.validation import validate
from domain.errors import Problem
from tests.factories.driver import ACTIONS


def problems(step: str) -> list[Problem]:
    definition = {"do": [{"a": documents.load(step).value}]}
    return validate(definition, catalogue=ACTIONS)


def one(step: str) -> set[tuple[str, str]]:
    return {(problem.pointer.removeprefix("/do/0/a"), problem.code) for problem in problems(step)}


@pytest.mark.parametrize(
    "step",
    [
        "{listen: {to: {one: {with: {type: x}}}}}",
        "{listen: {to: {any: []}, read: raw}}",
        "{listen: {to: {any: [], until: '${ false }'}}, foreach: {}}",
        "{listen: {to: {any: [{with: {type: x}}], until: {all: [{with: {type: y}}, {with: {source: /z}}]}}}}",
        "{listen: {to: {all: [{with: {type: x, data: '${ .a > $context.b }'}}]}, read: envelope}}",
        "{listen: {to: {one: {with: {data: {kind: '${ .kind }'}, roomid: 7, flag: true}}}}}",
        "{listen: {to: {one: {with: {type: 'com\\\\.acme\\\\..*'}, correlate: {a: {from: .data.a, expect: B}}}}}}",
        "{listen: {to: {one: {with: {type: x}, correlate: {a: {from: '${ .a }', expect: '${ $input.a }'}}}}}}",
        "{listen: {to: {any: []}}, foreach: {item: e, at: i, do: [{b: {set: {x: '${ $e + $i }'}}}],"
        " output: {as: '{a: ., i: $i, o: $output}'}, export: {as: '$context + {e: $e}'}}}",
        "{emit: {event: {with: {type: x}}}}",
        "{emit: {event: {with: {type: '${ .t }', source: /s, id: 'a-${ .id }', data: ['${ . }', 1], roomid: 7}}}}",
        "{emit: {event: {with: {type: x, time: '2026-03-01T09:30:00.5+01:00', subject: me, dataschema: 'https://a.b/c'}}}}",
    ],
)
def test_what_is_sound_passes(step: str) -> None:
    assert one(step) == set()


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("{listen: {}}", {("/listen", "missing_field")}),
        ("{listen: 7}", {("/listen", "wrong_type")}),
        ("{listen: {to: {}}}", {("/listen/to", "missing_field")}),
        ("{listen: {to: {one: {}}}}", {("/listen/to/one", "missing_field")}),
        ("{listen: {to: {one: {with: {}}}}}", {("/listen/to/one/with", "missing_field")}),
        ("{listen: {to: {one: {with: {type: ''}}}}}", {("/listen/to/one/with/type", "bad_event_type")}),
        ("{listen: {to: {one: {with: {type: 7}}}}}", {("/listen/to/one/with/type", "wrong_type")}),
        ("{listen: {to: {one: {with: {type: '(x'}}}}}", {("/listen/to/one/with/type", "bad_pattern")}),
        (
            "{listen: {to: {one: {with: {data: '${ .a > }'}}}}}",
            {("/listen/to/one/with/data", "bad_expression")},
        ),
        (
            "{listen: {to: {one: {with: {data: '${ $e }'}}}}}",
            {("/listen/to/one/with/data", "unknown_variable")},
        ),
        ("{listen: {to: {one: {with: {data: 'a ${ .b }'}}}}}", {("/listen/to/one/with/data", "mixed_text")}),
        ("{listen: {to: {one: {with: {type: x}}}, read: all}}", {("/listen/read", "bad_reading")}),
        ("{listen: {to: {one: {with: {type: x}}}, read: [data]}}", {("/listen/read", "bad_reading")}),
        ("{listen: {to: {one: {with: {type: x}}, any: []}}}", {("/listen/to", "several_ways")}),
        ("{listen: {to: {all: []}}}", {("/listen/to/all", "no_filter")}),
        ("{listen: {to: {all: {with: {type: x}}}}}", {("/listen/to/all", "wrong_type")}),
        ("{listen: {to: {any: [7]}}}", {("/listen/to/any/0", "wrong_type")}),
        ("{listen: {to: {any: [], until: false}}}", {("/listen/to/until", "wrong_type")}),
        ("{listen: {to: {any: [], until: {}}}}", {("/listen/to/until", "missing_field")}),
        (
            "{listen: {to: {any: [], until: {any: [], until: .x}}}}",
            {("/listen/to/until/until", "misplaced_until")},
        ),
        ("{listen: {to: {one: {with: {type: x}}, until: .x}}}", {("/listen/to/until", "misplaced_until")}),
        (
            "{listen: {to: {one: {with: {type: x}, correlate: {a: {}}}}}}",
            {("/listen/to/one/correlate/a", "missing_field")},
        ),
        (
            "{listen: {to: {one: {with: {type: x}, correlate: {a: {from: '(', expect: 'a ${ .b }', x: 1}}}}}}",
            {
                ("/listen/to/one/correlate/a/from", "bad_expression"),
                ("/listen/to/one/correlate/a/expect", "mixed_text"),
                ("/listen/to/one/correlate/a/x", "unknown_field"),
            },
        ),
        ("{listen: {to: {any: []}}, foreach: {each: e}}", {("/foreach/each", "unknown_field")}),
        ("{listen: {to: {any: []}}, foreach: {item: input}}", {("/foreach/item", "reserved_name")}),
        ("{listen: {to: {any: []}}, foreach: {item: a, at: a}}", {("/foreach", "duplicate_name")}),
        ("{listen: {to: {any: []}}, foreach: {do: []}}", {("/foreach/do", "empty_list")}),
        (
            "{listen: {to: {any: [], until: '$item'}}, foreach: {do: [{b: {set: {x: '${ $other }'}}}]}}",
            {("/listen/to/until", "unknown_variable"), ("/foreach/do/0/b/set/x", "unknown_variable")},
        ),
        ("{emit: {}}", {("/emit", "missing_field")}),
        ("{emit: {event: {}}}", {("/emit/event", "missing_field")}),
        ("{emit: {event: {with: {}}}}", {("/emit/event/with", "missing_field")}),
        ("{emit: {event: {with: {type: ''}}}}", {("/emit/event/with/type", "bad_event_type")}),
        ("{emit: {event: {with: {type: [x]}}}}", {("/emit/event/with/type", "wrong_type")}),
        ("{emit: {event: {with: {type: x, source: 'a b'}}}}", {("/emit/event/with/source", "bad_reference")}),
        (
            "{emit: {event: {with: {type: x, source: /perdure/executions}}}}",
            {("/emit/event/with/source", "reserved_source")},
        ),
        ("{emit: {event: {with: {type: x, id: ''}}}}", {("/emit/event/with/id", "empty_attribute")}),
        ("{emit: {event: {with: {type: x, time: today}}}}", {("/emit/event/with/time", "bad_time")}),
        ("{emit: {event: {with: {type: x, roomId: 7}}}}", {("/emit/event/with/roomId", "bad_attribute")}),
        ("{emit: {event: {with: {type: x, room: [7]}}}}", {("/emit/event/with/room", "bad_attribute")}),
        (
            "{emit: {event: {with: {type: x, data: '${ $secrets.a }'}}}}",
            {("/emit/event/with/data", "secret_not_here")},
        ),
        ("{emit: {event: {with: {type: x}, data: 1}}}", {("/emit/event/data", "unknown_field")}),
    ],
)
def test_each_mistake_is_told_at_its_place(step: str, expected: set[tuple[str, str]]) -> None:
    assert one(step) == expected


def test_every_problem_says_how_to_mend_it() -> None:
    [problem] = problems("{listen: {to: {one: {with: {type: x}}, until: .x}}}")
    assert problem.message == "`until` goes with `any`; `one` and `all` end by themselves."
    assert problem.suggestion == "Listen to `any: […]`, or leave `until` out."
    [problem] = problems("{listen: {to: {one: {with: {type: x}}}, read: envelop}}")
    assert problem.suggestion == "Did you mean `envelope`?"


def test_filters_are_limited() -> None:
    filters = ", ".join("{with: {type: x}}" for _ in range(51))
    assert one(f"{{listen: {{to: {{any: [{filters}]}}}}}}") == {("/listen/to/any", "too_many")}

"""Listening: which events a step takes, in which order, until when, and what becomes of all the others."""

from typing import Any

import pytest

from domain.definitions import documents
from domain.definitions.commands import Arrived, AwaitEvents, CallAction, Cancelled, Resume, Sleep, Stop
from domain.definitions.interpreter import has_backlog
from domain.events import MAXIMUM_EVENT, MAXIMUM_KEPT, MAXIMUM_KEYS
from tests.factories.driver import NEW_YEAR, Execution, program


class Listener(Execution):
    """An execution to which events are sent, one after the other."""

    sent = 0

    def opened(self) -> "Listener":
        self.take(Resume(self.now))
        return self

    def hear(self, type: str, data: Any = None, **attributes: Any) -> "Listener":
        self.sent += 1
        event = {"specversion": "1.0", "source": "/tests", "id": str(self.sent), "type": type, **attributes}
        self.now += 1000
        given = self.take(Arrived(self.now, event if data is None else {**event, "data": data}))
        while given:  # what is told to stop ends at once
            command = given.pop()
            given += self.take(self.answer(command)) if isinstance(command, Stop) else []
        return self

    @property
    def is_open(self) -> bool:
        return self.finish is None


def listener(steps: str | list[Any], data: Any = None, /, **more: Any) -> Listener:
    own = {name: more.pop(name) for name in ("fuel", "budget") if name in more}
    return Listener(program(steps, **more), data, **own).opened()


def _loaded(text: str) -> Any:
    return documents.load(text).value


def listening(to: str, more: str = "", input: Any = None, /, **beside: Any) -> Listener:
    """One step `hear` that listens `to` this; `more` belongs into the step."""
    step: dict[str, Any] = {"listen": {"to": _loaded(to)}, **(_loaded(more) if more else {})}
    step["listen"] |= beside.pop("listen", {})
    return listener([{"hear": step}], input, **beside)


# One, any, all


def test_one_event_suffices_and_the_output_is_a_list() -> None:
    run = listening("{one: {with: {type: paid}}}")
    assert run.commands == [AwaitEvents("/do/0/hear#1", "hear", ["paid"])]
    assert run.hear("opened").is_open
    assert run.hear("paid", {"n": 1}).output == [{"n": 1}]


def test_any_ends_with_the_first_event_that_fits() -> None:
    run = listening("{any: [{with: {type: a}}, {with: {type: b}}]}")
    assert run.commands == [AwaitEvents("/do/0/hear#1", "hear", ["a", "b"])]
    assert run.hear("c", 1).hear("b", 2).output == [2]


def test_any_without_filters_takes_whatever_comes() -> None:
    run = listening("{any: []}")
    assert run.commands == [AwaitEvents("/do/0/hear#1", "hear", None)]
    assert run.hear("strange").output == [None]


def test_all_waits_for_an_event_for_each_filter_and_keeps_their_order() -> None:
    run = listening("{all: [{with: {type: a}}, {with: {type: b}}, {with: {type: a}}]}")
    assert run.hear("b", 1).hear("a", 2).is_open
    assert run.hear("b", 3).is_open, "b was there already"
    assert run.hear("a", 4).output == [1, 2, 4]


def test_an_event_counts_for_one_filter_only() -> None:
    run = listening("{all: [{with: {type: a}}, {with: {source: /tests}}]}")
    assert run.hear("a", 1).is_open
    assert run.hear("a", 2).output == [1, 2]


def test_what_a_listen_did_not_take_waits_for_the_next_one() -> None:
    run = listener(
        "[{first: {listen: {to: {one: {with: {type: b}}}}}}, {second: {listen: {to: {one: {with: {type: a}}}}}}]"
    )
    run.hear("a", 1).hear("a", 2)
    assert run.hear("b", 3).output == [1]
    assert [type(command).__name__ for command in run.commands] == ["AwaitEvents", "Finish"]


def test_events_that_come_before_the_step_are_heard_in_their_order() -> None:
    run = listener("[{rest: {wait: PT1H}}, {hear: {listen: {to: {any: [], until: length == 3}}}}]")
    run.hear("a", 1).hear("b", 2).hear("c", 3).hear("d", 4)
    [sleep] = run.commands
    assert isinstance(sleep, Sleep)
    run.take(run.answer(sleep))
    assert run.output == [1, 2, 3]


# Filters


@pytest.mark.parametrize(
    ("filter", "fits"),
    [
        ("{type: a}", True),
        ("{type: b}", False),
        ("{type: a, subject: me}", False),
        ("{type: a, source: /tests}", True),
        ("{type: '${ startswith(\"a\") }'}", True),
        ("{type: '${ startswith(\"b\") }'}", False),
        ("{type: '${ $input.type }'}", True),
        ("{type: '${ $input.other }'}", False),
        ("{type: '[abc]'}", True),
        ("{type: '[bcd]'}", False),
        ("{type: 'a|b|'}", True),
        ("{data: '${ .n > 1 }'}", True),
        ("{data: '${ .n > 2 }'}", False),
        ("{data: {n: 2}}", True),
        ("{data: {n: 2, m: 1}}", False),
        ("{data: {n: '${ $input.n }'}}", True),
        ("{data: '${ .n }'}", False),
        ("{flag: true}", True),
        ("{flag: 1}", False),
        ("{number: 1}", True),
        ("{number: true}", False),
        ("{data: '${ .n.m.o }'}", False),
        ("{data: '${ error }'}", False),
        ("{data: '${ .n, .n }'}", False),
    ],
)
def test_attributes_fit_by_value_pattern_or_test(filter: str, fits: bool) -> None:
    run = listening(f"{{one: {{with: {filter}}}}}", "", {"type": "a", "n": 2})
    run.hear("a", {"n": 2}, flag=True, number=1)
    assert run.is_open is not fits
    assert run.is_open or run.output == [{"n": 2}]


def test_an_event_on_which_a_filter_fails_does_not_fail_the_step() -> None:
    run = listening("{one: {with: {type: a, data: '${ .n > 1 and (.m | ascii_downcase) == \"x\" }'}}}")
    assert run.hear("a", {"n": 2, "m": 7}).hear("a", "text").hear("a", {"n": 2, "m": "X"}).output == [
        {"n": 2, "m": "X"}
    ]


# Correlation


ORDERS = """
{all: [
  {with: {type: signed}, correlate: {order: {from: .data.order}}},
  {with: {type: paid}, correlate: {order: {from: .data.order}}}]}
"""


def test_the_first_event_decides_what_the_others_must_say() -> None:
    run = listening(ORDERS)
    run.hear("paid", {"order": "A"}).hear("signed", {"order": "B"}).hear("signed", {})
    assert run.hear("signed", {"order": "A"}).output == [{"order": "A"}, {"order": "A"}]


def test_each_activation_decides_anew() -> None:
    run = listener(
        [
            {"first": {"listen": {"to": _loaded(ORDERS)}}},
            {"second": {"listen": {"to": _loaded(ORDERS)}}},
        ]
    )
    for order in ("A", "B"):
        run.hear("paid", {"order": order}).hear("signed", {"order": order})
    assert run.output == [{"order": "B"}, {"order": "B"}]


@pytest.mark.parametrize(
    ("expect", "taken"), [("B", "B"), ("${ .order }", "B"), ("${ $context.order }", None), (".order", None)]
)
def test_what_is_expected_is_a_constant_or_an_expression(expect: str, taken: str | None) -> None:
    correlate = f"{{order: {{from: .data.order, expect: '{expect}'}}}}"
    run = listening(f"{{one: {{with: {{type: paid}}, correlate: {correlate}}}}}", "", {"order": "B"})
    run.hear("paid", {"order": "A"}).hear("paid", {"order": None}).hear("paid", {"order": "B"})
    assert (None if run.is_open else run.output[0]["order"]) == taken


def test_an_expectation_that_fails_is_a_fault_of_the_step() -> None:
    run = listening("{one: {with: {type: paid}, correlate: {o: {from: .data, expect: '${ error }'}}}}")
    assert (run.error["title"], run.error["instance"]) == ("Expression failed", "/do/0/hear")


def test_correlations_may_read_extension_attributes() -> None:
    """As in the specification's own example of room readings."""
    run = listening(
        "{all: [{with: {type: t}, correlate: {r: {from: .roomid}}},"
        " {with: {type: h}, correlate: {r: {from: .roomid}}}]}"
    )
    assert run.hear("t", 20, roomid="1").hear("h", 50, roomid="2").is_open
    assert run.hear("h", 60, roomid="1").output == [20, 60]


# Until


def test_until_is_asked_after_each_event_about_all_of_them() -> None:
    run = listening("{any: [{with: {type: a}}], until: '(map(.n) | add) > 5'}")
    run.hear("a", {"n": 2}).hear("b", {"n": 9}).hear("a", {"n": 3})
    assert run.is_open
    assert run.hear("a", {"n": 1}).output == [{"n": 2}, {"n": 3}, {"n": 1}]


def test_events_that_end_the_listening_are_not_part_of_it() -> None:
    run = listening("{any: [{with: {type: a}}, {with: {type: end}}], until: {one: {with: {type: end}}}}")
    assert run.commands == [AwaitEvents("/do/0/hear#1", "hear", ["a", "end"])]
    assert run.hear("a", 1).hear("a", 2).hear("end", 3).output == [1, 2]


def test_several_events_may_have_to_come_before_the_listening_ends() -> None:
    run = listening("{any: [], until: {all: [{with: {type: x}}, {with: {type: y}}]}}")
    assert run.commands == [AwaitEvents("/do/0/hear#1", "hear", None)]
    assert run.hear("a", 1).hear("y", 2).hear("b", 3).hear("y", 4).is_open
    assert run.hear("x", 5).output == [1, 3, 4]


def test_an_until_that_fails_is_a_fault_of_the_step() -> None:
    run = listening("{any: [], until: '.[0].n > error'}").hear("a", {"n": 2})
    assert (run.error["title"], run.error["instance"]) == ("Expression failed", "/do/0/hear")


def test_an_until_that_never_holds_ends_when_too_much_was_heard() -> None:
    run = listening("{any: [], until: '${ false }'}")
    for _ in range(30):
        if run.is_open:
            run.hear("a", "x" * 10_000)
    assert (run.error["status"], run.error["instance"]) == (413, "/do/0/hear")
    assert run.sent == 14


# Reading


def test_events_are_read_as_data_envelope_or_raw() -> None:
    outputs = {}
    for read in ("data", "envelope", "raw"):
        run = listening("{one: {with: {type: a}}}", listen={"read": read})
        outputs[read] = run.hear("a", {"n": 1}).output
    assert outputs["data"] == outputs["raw"] == [{"n": 1}]
    envelope = {"specversion": "1.0", "source": "/tests", "id": "1", "type": "a", "data": {"n": 1}}
    assert outputs["envelope"] == [envelope]


@pytest.mark.parametrize(
    ("kind", "read", "heard"),
    [
        ("application/json; charset=utf-8", "data", {"n": 1}),
        ("application/json", "raw", "eyJuIjogMX0="),
        ("text/plain", "data", '{"n": 1}'),
        ("image/png", "data", "eyJuIjogMX0="),
    ],
)
def test_binary_data_are_decoded_where_they_say_what_they_are(kind: str, read: str, heard: Any) -> None:
    run = listening("{one: {with: {type: a}}}", listen={"read": read})
    assert run.hear("a", data_base64="eyJuIjogMX0=", datacontenttype=kind).output == [heard]


def test_broken_binary_data_are_read_as_they_came() -> None:
    run = listening("{one: {with: {type: a}}}")
    assert run.hear("a", data_base64="%%%", datacontenttype="application/json").output == ["%%%"]


# Foreach


FOREACH = """
foreach:
  item: event
  at: i
  do:
    - ask: {call: look, with: {n: "${ $event.n }", i: "${ $i }"}}
  output: {as: "{got: ., i: $i, n: $event.n}"}
  export: {as: "($context // {}) + {last: $event.n}"}
"""


def test_each_event_has_its_turn_one_after_the_other() -> None:
    run = listening("{any: [{with: {type: a}}], until: {one: {with: {type: end}}}}", FOREACH)
    run.hear("a", {"n": 1}).hear("a", {"n": 2}).hear("end")
    first, second = run.commands[1], None
    assert isinstance(first, CallAction)
    assert (first.occurrence, first.arguments) == ("/do/0/hear/foreach/do/0/ask#1", {"n": 1, "i": 0})
    assert has_backlog(run.state, "/do/0/hear#1")
    run.answers = {"ask": "done"}
    [second] = run.take(run.answer(first))
    assert isinstance(second, CallAction)
    assert second.arguments == {"n": 2, "i": 1}
    assert run.state.context == {"last": 1}
    run.take(run.answer(second))
    assert run.output == [{"got": "done", "i": 0, "n": 1}, {"got": "done", "i": 1, "n": 2}]


def test_the_steps_of_a_turn_begin_with_the_event_and_its_output_is_theirs() -> None:
    run = listening("{one: {with: {type: a}}}", "foreach: {do: [{x: {set: '${ {seen: .} }'}}]}")
    assert run.hear("a", 7).output == [{"seen": 7}]


def test_without_steps_each_event_is_only_shaped() -> None:
    run = listening(
        "{any: [], until: length == 2}",
        "foreach: {output: {as: .n, schema: {document: {type: integer}}},"
        " export: {as: '{sum: (($context.sum // 0) + .)}'}}",
        output={"as": "{list: ., sum: $context.sum}"},
    )
    assert run.hear("a", {"n": 1}).hear("a", {"n": 2}).output == {"list": [1, 2], "sum": 3}


def test_an_output_that_does_not_fit_its_schema_is_a_fault_of_the_step() -> None:
    run = listening("{any: []}", "foreach: {output: {schema: {document: {type: integer}}}}")
    assert run.hear("a", "x").error["title"] == "Schema not satisfied"
    assert run.error["instance"] == "/do/0/hear"


def test_until_may_ask_for_what_the_turns_have_made_and_leaves_the_rest() -> None:
    run = listener(
        [
            {
                "hear": {
                    "listen": {"to": {"any": [{"with": {"type": "a"}}], "until": "$context.enough == true"}},
                    "foreach": {
                        "do": [{"ask": {"call": "look"}}],
                        "export": {"as": "{enough: (. == 'x')}".replace("'", '"')},
                    },
                }
            },
            {"next": {"listen": {"to": {"any": [], "until": "length == 2"}}}},
        ]
    )
    run.hear("b", 0).hear("a", 1).hear("a", 2).hear("a", 3)
    run.answers = {"ask": ["o", "x"]}
    [second] = run.take(run.answer(run.commands[1]))
    run.take(run.answer(second))
    # What waited for its turn was not consumed; it stands before what nobody had asked for, as it were older.
    assert run.output == [3, 0]


def test_exit_ends_a_turn_and_end_ends_the_workflow() -> None:
    run = listening(
        "{any: [], until: length == 2}",
        "foreach: {do: [{x: {set: {a: 1}, if: 'true', then: exit}}, {never: {set: {b: 1}}}]}",
    )
    assert run.hear("a").hear("b").output == [{"a": 1}, {"a": 1}]
    run = listening("{any: [], until: '${ false }'}", "foreach: {do: [{x: {set: {a: 1}, then: end}}]}")
    assert run.hear("a").output == {"a": 1}


def test_a_failing_turn_fails_the_step_and_may_be_caught() -> None:
    hear = "{listen: {to: {any: []}}, foreach: {do: [{x: {set: '${ error }'}}]}}"
    assert listener(f"[{{hear: {hear}}}]").hear("a").error["instance"] == "/do/0/hear/foreach/do/0/x"
    run = listener(
        f"[{{t: {{try: [{{hear: {hear}}}], catch: {{do: [{{ok: {{set: {{caught: true}}}}}}]}}}}}}]"
    )
    assert run.hear("a").output == {"caught": True}


def test_too_many_events_in_the_queue_are_a_fault_that_says_so() -> None:
    run = listening("{any: [], until: '${ false }'}", "foreach: {do: [{ask: {call: look}}]}")
    for _ in range(MAXIMUM_KEPT + 1):
        run.hear("a", 1)
    assert run.is_open
    run.hear("a", 1)
    assert (run.error["title"], run.error["status"]) == ("Too many events", 429)


# Several that listen


def test_an_event_reaches_every_step_that_listens() -> None:
    run = listener(
        "[{both: {fork: {branches: [{a: {listen: {to: {one: {with: {type: x}}}}}},"
        " {b: {listen: {to: {any: [{with: {type: x}}], until: length == 2}}}}]}}}]"
    )
    assert run.hear("x", 1).is_open
    assert run.hear("x", 2).output == [[1], [1, 2]]


def test_an_early_event_is_taken_once() -> None:
    run = listener(
        "[{rest: {wait: PT1S}}, {both: {fork: {branches: [{a: {listen: {to: {one: {with: {type: x}}}}}},"
        " {b: {listen: {to: {one: {with: {type: x}}}}}}]}}}]"
    )
    run.hear("x", 1)
    run.take(run.answer(run.commands[0]))
    assert run.is_open
    assert run.hear("x", 2).output == [[1], [2]]


# What is late, repeated, too much or no event


def test_an_event_arrives_once_however_often_it_is_delivered() -> None:
    run = listening("{any: [], until: length == 2}")
    assert run.hear("a", 1, id="7").hear("a", 2, id="7").hear("a", 3, id="7", source="/else").output == [1, 3]


def test_a_repetition_is_recognised_although_many_came_between() -> None:
    run = listening("{any: [{with: {type: a}}], until: length == 2}")
    run.hear("a", 1, id="x")
    for _ in range(MAXIMUM_KEYS - 1):
        run.hear("other")
    run.hear("a", 2, id="x")
    assert run.is_open
    assert len(run.state.event_keys) == MAXIMUM_KEYS


def test_what_nobody_asks_for_makes_room_for_what_comes_later_and_is_counted() -> None:
    run = listening("{one: {with: {type: a}}}")
    for number in range(MAXIMUM_KEPT + 20):
        run.hear("noise", number)
    assert len(run.state.arrivals) == MAXIMUM_KEPT
    assert run.state.lost == 20
    for _ in range(3):
        run.hear("noise", "x" * 100_000)
    assert sum(each["size"] for each in run.state.arrivals) <= 256 * 1024  # type: ignore[misc]
    run.hear("a", 1)
    assert run.output == [1]
    assert run.records["/do/0/hear#1"].input["consumed"] == 1
    assert run.records["/do/0/hear#1"].input["lost"] > 20


@pytest.mark.parametrize(
    "event",
    [7, None, ["a"], {"type": "a", "data": "x" * MAXIMUM_EVENT}, {"type": "a", "data": "\ud800"}, {1: 2}],
)
def test_what_is_no_event_changes_nothing(event: Any) -> None:
    run = listening("{any: []}")
    before = run.state.as_json()
    assert run.take(Arrived(run.now, event)) == []
    assert {**run.state.as_json(), "now": 0, "lost": 0} == {**before, "now": 0}


def test_an_event_without_an_id_is_always_a_new_one() -> None:
    run = listening("{any: [], until: length == 2}")
    for _ in range(2):
        run.take(Arrived(NEW_YEAR, {"type": "a"}))
    assert run.output == [None, None]


def test_events_after_the_end_change_nothing() -> None:
    run = listening("{any: []}").hear("a")
    assert run.take(Arrived(run.now, {"type": "a"})) == []
    assert run.state.arrivals == []


def test_a_cancellation_ends_the_listening() -> None:
    run = listening("{any: []}")
    [stop] = run.take(Cancelled(run.now))
    assert stop == Stop("/do/0/hear#1")
    run.hear("a")  # too late: it does not end the step
    run.take(run.answer(stop))
    assert run.finish is not None
    assert run.finish.status == "cancelled"
    assert run.records["/do/0/hear#1"].status == "cancelled"


# Fuel


def test_listening_with_little_fuel_comes_to_the_same() -> None:
    to = "{any: [{with: {data: '${ [range(.n * 50)] | add > 3 }'}}], until: 'length == 3'}"
    outputs = []
    for fuel in (None, 300):
        run = listening(to, "foreach: {output: {as: '{n: .n, sum: ([range(200)] | add)}'}}", fuel=fuel)
        for number in (0, 3, 1, 2, 5):
            if run.is_open:
                run.hear("a", {"n": number})
        outputs.append(run.output)
    assert outputs[0] == outputs[1]
    assert [each["n"] for each in outputs[0]] == [3, 1, 2]
    assert run.yields > 3

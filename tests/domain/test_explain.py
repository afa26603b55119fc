"""Definitions told in plain English: every kind of step, and nothing that breaks the telling."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from domain.definitions import documents
from domain.definitions.explain import explain
from domain.definitions.explain.conditions import condition, mixed
from tests.domain.sample_definitions import JSON, steps
from tests.domain.test_graph import EVERYTHING, HOSTILE
from tests.factories.driver import ACTIONS

MORE = """
document: {summary: Ships what was ordered}
input: {schema: {document: {required: [items, name], properties: {items: {type: array}, name: {}, note: {}}}}}
timeout: {after: P7D}
use:
  extensions: [{log: {extend: call, when: .loud, before: [{a: {set: {}}}], after: [{b: {set: {}}}]}}]
  retries: {calm: {delay: PT3S, backoff: {linear: {}}, limit: {attempt: {count: 1}}}}
  errors: {gone: {type: https://example.org/gone, status: 410, title: Gone}}
do:
  - greet: {call: look, if: .customer.is_new == true}
  - ask: {call: approve, with: {title: "Ship to ${ .name }?", assignees: ["role:stock"], due: 2 days}}
  - careful:
      try: [{fetch: {call: http, with: {endpoint: {uri: "https://x.example"}}}}]
      catch: {retry: calm, then: end}
  - both: {listen: {to: {all: [{with: {type: paid}}, {with: {type: packed}}]}}}
  - race: {fork: {compete: true, branches: [{a: {wait: PT90S}}, {b: {wait: "${ .pause }"}}]}}
  - tell: {emit: {event: {with: {type: shipped}}}}
  - child: {run: {workflow: {namespace: n, name: m, version: latest}, await: false}}
  - no: {raise: {error: gone}}
  - last: {set: {done: true}}
output: {as: {done: .done, when: .when}}
"""


def told(text: str, **more: Any) -> str:
    return explain(documents.load(text).value, title="Shipping", catalogue=ACTIONS, **more).text


def test_every_kind_of_step() -> None:
    triggers = [
        {"type": "manual"},
        {"type": "webhook", "name": "orders"},
        {"type": "event", "configuration": {"type": "paid"}},
        {"type": "manual", "is_active": False},
    ]
    lines = [line.strip() for line in told(MORE, triggers=triggers).splitlines() if line]
    assert lines == [
        "Shipping",
        "Ships what was ordered. It begins when somebody starts it, another system calls its webhook “orders” or the"
        " event paid happens. It needs items (a list) and name; 1 more field may be given. If it is not done after"
        " 7 days, it is given up.",
        "1. First, only if customer is new is true: “greet” carries out “look”.",
        "2. Then “ask” asks stock to decide: “Ship to [name]?” (within 2 days).",
        "3. Then “careful”: the following may go wrong. If it does, it is tried again, once, 3 seconds later"
        " and each time after a longer pause. Any failure is passed over, and the workflow ends.",
        "3.1. “fetch” asks https://x.example (GET).",
        "4. Then “both” waits until all of these have happened: the event paid and the event packed.",
        "5. Then “race”: all of this begins at the same time; the first to be done counts, the rest is stopped.",
        "5.1. “a” waits 1 minute and 30 seconds.",
        "5.2. “b” waits as long as `.pause` says.",
        "6. Then “tell” tells the organization's other workflows: shipped.",
        "7. Then “child” starts the workflow m and does not wait for it.",
        "8. Then “no” stops with the error “Gone” (410).",
        "9. “last” puts together done.",
        "“log” does its part before and after every `call` step, if loud is true. Its result has done and when.",
    ]


def test_branches_loops_and_what_catches() -> None:
    text = explain(steps(EVERYTHING), title="Orders").text
    for sentence in (
        "if amount is more than 1000 (“large”), it goes on with “approval”; if again is true (“repeat”), it goes on"
        " with “receive”; in every other case (“normal”), it goes on with “fulfil”.",
        "6.2.2. “pack”: for each item in items, one after another:",
        "6.3. If that fails with status 408 even after 3 retries:",
        "Should the workflow fail later, this is undone by release.",
        "“watch” waits for any event, again and again; for each event:",
        "the steps that can be undone are undone first, the latest one first.",
    ):
        assert sentence in text


def test_each_line_leads_to_its_step() -> None:
    lines = explain(steps(EVERYTHING), title="x").lines
    found = {line.number: line.pointer for line in lines}
    assert found["6.2.2.1"] == "/do/5/fulfil/try/1/parallel/fork/branches/1/pack/do/0/pick"
    assert [line.depth for line in lines if line.number == "6.2.2.1"] == [3]
    assert len(found) == len(lines), "numbers are unique"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("${ .approved }", "approved is true"),
        (".approved | not", "approved is not true"),
        ('.a.b_c >= 3 and $context.kind == "new one"', "a b c is at least 3 and kind is “new one”"),
        (".items | length > 0", "the number of items is more than 0"),
        ("$item.price != null", "item price is there"),
        (".x == null or .y", "x is missing or y is true"),
        ("true", "always"),
        (".a and .b or .c", "`.a and .b or .c`"),
        ("any(.[]; .x)", "`any(.[]; .x)`"),
        (".", "`.`"),
        ("." * 400, "`" + "." * 79 + "…`"),
        (7, "`7`"),
    ],
)
def test_conditions(written: Any, said: str) -> None:
    assert condition(written) == said


def test_texts_with_expressions() -> None:
    assert mixed("Dear ${ .client.name }, ${ .a + 1 }") == "Dear [client name], [.a + 1]"


def test_hostile_names_stay_on_their_line() -> None:
    text = explain(HOSTILE, title="a\nb").text
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert len(text.splitlines()) == 6 + 5


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON)
def test_anything_can_be_told(value: Any) -> None:
    words = ("call", "set", "switch", "for", "try", "fork", "listen", "wait", "raise", "run", "emit", "do")
    bodies = [
        {word: value, "with": value, "catch": value, "then": value, "if": value, "metadata": value}
        for word in words
    ]
    do = [{f"s{i}": body} for i, body in enumerate(bodies)]
    for each in (
        value,
        {"do": do, "schedule": value, "input": value, "output": value, "timeout": value, "use": value},
    ):
        explain(each, title="x", triggers=value, actions=value)


CONFIGURED = """
use: {functions: {sign: {call: "approve:1.0.0", with: {title: Sign it, candidates: ["role:owner"]}}}}
do:
  - details: {call: details, with: {due: 3 days}}
  - sign: {call: sign}
  - look: {call: look}
"""
DETAILS = {
    "name": "details",
    "uses": "ask@default",
    "with": {"title": "Who are you?", "candidates": ["client:1"]},
}
PINNED = {"details": {"action": "ask", "version": "1.0.0", "with": DETAILS["with"]}}


@pytest.mark.parametrize("known", [{"actions": [DETAILS]}, {"calls": PINNED}], ids=["draft", "version"])
def test_who_is_asked_is_told_whatever_name_the_call_has(known: dict[str, Any]) -> None:
    lines = [line.strip() for line in told(CONFIGURED, **known).splitlines()]
    assert (
        "1. First, “details” asks a client by mail to fill in a form: “Who are you?” (within 3 days)."
        in lines
    )
    assert "2. Then “sign” asks owner to decide: “Sign it”." in lines
    assert "3. Finally, “look” carries out “look”." in lines

"""Definitions as drawings: what leads where, nothing overlaps, hostile names stay text, the same is drawn alike."""

import itertools
import json
import time
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings

from domain.definitions import documents
from domain.definitions.graph import Laid, Status, as_json, draw, icons, lay_out, positioned, project
from domain.definitions.graph.layout import Rectangle
from domain.errors import Invalid
from tests.domain.sample_definitions import JSON, SOUND, steps

EVERYTHING = """
- receive: {set: {items: "${ .items }"}, timeout: {after: 3 days}}
- route:
    switch:
      - large: {when: .amount > 1000, then: approval}
      - repeat: {when: .again, then: receive}
      - normal: {then: fulfil}
- approval: {call: approve, with: {title: sure}, then: decided}
- fraud: {raise: {error: {type: https://example.org/fraud, status: 422, title: Fraud}}}
- decided: {switch: [{yes: {when: .approved, then: fulfil}}, {no: {then: end}}]}
- fulfil:
    try:
      - reserve:
          call: http
          with: {method: post, endpoint: "https://stock.example.org/{id}"}
          timeout: {after: PT30S}
          metadata: {compensate: {call: release}}
      - parallel:
          fork:
            branches:
              - invoice: {call: email.send}
              - pack:
                  for: {each: item, in: .items}
                  do:
                    - pick: {call: pick, if: .ok, then: exit}
                    - check: {switch: [{heavy: {when: .w > 20, then: exit}}, {light: {then: end}}]}
              - notify: {emit: {event: {with: {type: com.shop.picked}}}}
    catch:
      errors: {with: {status: 408}}
      retry: {limit: {attempt: {count: 3}}}
      do: [{apologise: {call: email.send}}, {stop: {set: {ok: false}, then: end}}]
- watch:
    listen: {to: {any: [], until: '${ false }'}}
    foreach: {do: [{refund: {call: http, with: {method: post, endpoint: https://x.example}}}]}
- never: {set: {a: 1}, then: end}
- orphan: {run: {workflow: {namespace: a, name: b, version: 1.0.0}}}
"""


def laid(text: str, **more: Any) -> Laid:
    return lay_out(project(steps(text), "Orders"), **more)


def edges(of: Laid) -> set[tuple[str, str, str, str]]:
    names = {id: placed.node.name or id for id, placed in of.nodes.items()}
    return {
        (names.get(e.source, e.source), names.get(e.target, e.target), e.kind.value, e.label)
        for e in of.graph.edges()
    }


def test_every_kind_of_edge() -> None:
    found = edges(laid(EVERYTHING))
    body = "/do/5/fulfil/try"
    catch = "/do/5/fulfil/catch/do"
    loop = f"{body}/1/parallel/fork/branches/1/pack/do"
    assert {
        ("Start", "receive", "next", ""),
        ("route", "approval", "case", "large"),
        ("route", "receive", "case", "repeat"),
        ("route", "fulfil", "case", "normal"),
        ("approval", "decided", "next", ""),
        ("decided", "End", "case", "no"),
        (body, catch, "catch", "status 408"),
        ("reserve", catch, "timeout", "after 30 seconds"),
        ("reserve", "to undo it", "compensation", ""),
        (f"#in{body}/1/parallel/fork/branches", "notify", "branch", ""),
        (f"#out{loop}", f"#in{loop}", "loop", "next"),
        ("pick", "check", "next", "if not"),
        ("pick", f"#out{loop}", "next", ""),
        ("check", "End", "case", "light"),
        ("never", "End", "next", ""),
    } <= found
    assert not any(source == "fraud" for source, *_ in found), "an error leads to no next step"
    assert ("route", "approval", "case", "otherwise") not in found


def test_what_no_step_leads_to_is_marked() -> None:
    of = laid(EVERYTHING)
    unreachable = {
        placed.node.name for placed in of.nodes.values() if not placed.node.is_reachable and placed.node.name
    }
    assert unreachable == {"fraud", "orphan"}
    orphan = of.nodes["/do/8/orphan"].node
    assert "cannot be reached" in orphan.notes


def overlapping(of: Laid) -> list[tuple[str, str]]:
    """Pairs of boxes or labels that share a point although neither stands in the other."""
    inside: dict[str, list[tuple[str, Rectangle]]] = {}
    for id, placed in of.nodes.items():
        inside.setdefault(placed.parent, []).append((id, placed.area))
    for edge in of.edges:
        if (area := edge.reference or edge.label) is not None:
            inside.setdefault(edge.edge.within or "/do", []).append((f"label {edge.edge.label}", area))
    for id, section in of.sections.items():
        inside.setdefault(f"sections of {section.owner}", []).append((id, section.area))
    return [
        (one, other)
        for areas in inside.values()
        for (one, a), (other, b) in itertools.combinations(areas, 2)
        if a.x < b.right and b.x < a.right and a.y < b.bottom and b.y < a.bottom
    ]


def inside_out(of: Laid) -> list[str]:
    """Whatever sticks out of the frame it stands in."""
    return [
        id
        for id, placed in of.nodes.items()
        if placed.parent in of.sections and not _holds(of.sections[placed.parent].area, placed.area)
    ] + [id for id, section in of.sections.items() if not _holds(of.nodes[section.owner].area, section.area)]


def _holds(outer: Rectangle, inner: Rectangle) -> bool:
    return (
        outer.x <= inner.x
        and outer.y <= inner.y
        and inner.right <= outer.right
        and inner.bottom <= outer.bottom
    )


def tangled(count: int) -> dict[str, Any]:
    """Every step a switch to ten others, near and far."""
    return {
        "do": [
            {
                f"s{i}": {
                    "switch": [
                        {f"c{j}": {"when": ".a", "then": f"s{(i * 7 + j * 13) % count}"}} for j in range(10)
                    ]
                }
            }
            for i in range(count)
        ]
    }


@pytest.mark.parametrize(
    "definition",
    [
        steps(EVERYTHING),
        steps(SOUND),
        tangled(60),
        {"do": [{f"s{i}": {"set": {"a": 1}}} for i in range(120)]},
        {"do": [{"f": {"fork": {"branches": [{f"b{i}": {"wait": "PT1S"}} for i in range(100)]}}}]},
        {"do": [{f"a{i}": {"set": {}, "then": f"a{i - 1}" if i % 3 == 2 else "end"}} for i in range(40)]},
        {"do": []},
    ],
)
def test_nothing_overlaps_and_nothing_sticks_out(definition: Any) -> None:
    of = lay_out(project(definition, "x"))
    assert overlapping(of) == []
    assert inside_out(of) == []


def test_lines_run_through_no_step() -> None:
    """Each piece of a line is sampled; only frames around both ends may be met."""
    for definition in (steps(EVERYTHING), tangled(12)):
        of = lay_out(project(definition, "x"))
        boxes = {id: p for id, p in of.nodes.items() if p.node.is_step and not p.node.sections}
        for edge in of.edges:
            for x, y in sampled(edge.path):
                met = [
                    id
                    for id, p in boxes.items()
                    if p.area.x + 2 < x < p.area.right - 2 and p.area.y + 2 < y < p.area.bottom - 2
                ]
                assert not met, (edge.edge, met, x, y)


def sampled(path: Any) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    at = (0.0, 0.0)
    for piece in path:
        values = [float(value) for value in piece[1:]]
        end = (values[-2], values[-1])
        if piece[0] == "C":
            (ax, ay), (bx, by), (cx, cy) = at, (values[0], values[1]), (values[2], values[3])
            for k in range(1, 13):
                t = k / 12
                u = 1 - t
                points.append(
                    (
                        u**3 * ax + 3 * u * u * t * bx + 3 * u * t * t * cx + t**3 * end[0],
                        u**3 * ay + 3 * u * u * t * by + 3 * u * t * t * cy + t**3 * end[1],
                    )
                )
        elif piece[0] == "L":
            points += [
                (at[0] + (end[0] - at[0]) * k / 12, at[1] + (end[1] - at[1]) * k / 12) for k in range(1, 13)
            ]
        at = end
    return points


HOSTILE = {
    "do": [
        {'<script>alert("x")</script>': {"call": "</text><script>1</script>", "if": "\"&<>'"}},
        {"]]><!--": {"switch": [{"</g><image href=x>": {"when": "1", "then": "end"}}]}},
        {"\u202egnihsif\u0000\ud800\x1b[31m": {"set": {"\uffff": 1}}},
        {"H" * 400: {"wait": '${ "&quot;" }'}},
        {"": {"emit": 7}},
    ]
}


def test_hostile_names_stay_text() -> None:
    drawn = draw(lay_out(project(HOSTILE, '"><script>')))
    root = ElementTree.fromstring(drawn)  # well-formed
    allowed = {"svg", "title", "desc", "style", "g", "rect", "path", "text", "circle"}
    assert {each.tag.rpartition("}")[2] for each in root.iter()} <= allowed
    for element in root.iter():
        assert not any(name.startswith("on") or name.endswith("href") for name in element.attrib)
    shown = [
        *(each.text or "" for each in root.iter()),
        *(each.get("aria-label") or "" for each in root.iter()),
    ]
    assert not any("\u202e" in each or "\x1b" in each for each in shown)
    assert any(each.text and "alert" in each.text for each in root.iter())


def test_a_status_is_told_by_shape_and_by_text() -> None:
    statuses = {"/do/0/receive": Status("completed", 3), "/do/5/fulfil": Status("failed")}
    of = laid(EVERYTHING, statuses=statuses)
    root = ElementTree.fromstring(draw(of, statuses))
    texts = {each.text for each in root.iter() if each.tag.endswith("text")}
    assert {"completed, 3 times", "failed"} <= texts
    spoken = [each.get("aria-label") for each in root.iter() if each.get("data-step") == "/do/0/receive"]
    assert spoken == ["receive (set); items; at most 3 days; completed, 3 times; next → route"]
    assert "1 completed. 1 failed." in root[1].text  # type: ignore[operator]


def test_the_same_is_drawn_alike_and_a_page_may_bring_its_own_colours() -> None:
    assert draw(laid(EVERYTHING)) == draw(laid(EVERYTHING))
    bare = draw(laid(EVERYTHING), with_style=False)
    assert "<style" not in bare
    assert "var(--graph-ink,currentColor)" in bare
    assert "style=" not in bare, "a strict policy forbids it"


def test_chosen_positions_win() -> None:
    layout = {
        "receive": [900, 40],
        "/do/5/fulfil/try/0/reserve": {"x": -300, "y": 900},
        "route": ["a", 1],
        "x": 7,
    }
    before, after = laid(EVERYTHING), positioned(laid(EVERYTHING), layout)
    receive = after.nodes["/do/0/receive"].area
    reserve = after.nodes["/do/5/fulfil/try/0/reserve"].area
    assert (receive.x - reserve.x, receive.y - reserve.y) == (1200, -860)
    assert min(placed.area.x for placed in after.nodes.values()) >= 0
    assert inside_out(after) == []
    assert len(after.edges) == len(before.edges)
    assert positioned(before, {"layouts": 1, "route": {"x": float("inf"), "y": 0}}) is before
    ElementTree.fromstring(draw(after))


def test_json_is_complete() -> None:
    told = json.loads(json.dumps(as_json(laid(EVERYTHING), {"/do/0/receive": Status("waiting")})))
    ids = {node["id"] for node in told["nodes"]} | {group["id"] for group in told["groups"]}
    assert all(edge["source"] in ids and edge["target"] in ids for edge in told["edges"])
    assert {group["kind"] for group in told["groups"]} == {"do", "try", "catch", "branches", "foreach"}
    assert next(n for n in told["nodes"] if n["name"] == "receive")["status"] == "waiting"


@pytest.mark.parametrize(
    "definition",
    [{"do": [{f"s{i}": {"set": {"a": 1}}} for i in range(500)]}, tangled(500)],
    ids=["chain", "tangle"],
)
def test_500_steps_are_drawn_within_a_second(definition: Any) -> None:
    began = time.process_time()
    draw(lay_out(project(definition, "x")))
    assert time.process_time() - began < 1.5  # 1 s on a quiet machine; others share this one


def test_too_many_steps_are_refused() -> None:
    with pytest.raises(Invalid) as refused:
        project({"do": [{"a": {}}] * 2001}, "x")
    assert refused.value.problems[0].code == "too_many_steps"


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON)
def test_anything_can_be_drawn(value: Any) -> None:
    bodies: list[Any] = [
        {keyword: value}
        for keyword in (
            "call",
            "set",
            "switch",
            "for",
            "try",
            "fork",
            "listen",
            "wait",
            "raise",
            "run",
            "emit",
            "do",
        )
    ]
    definition = {
        "do": [
            {f"s{i}": {**body, "catch": value, "timeout": value, "then": value}}
            for i, body in enumerate(bodies)
        ]
    }
    for each in (definition, value, {"do": value, "use": value}):
        of = lay_out(project(each, "x"))
        ElementTree.fromstring(draw(of))
        assert overlapping(of) == []
        positioned(of, value)


def test_the_examples_are_drawn() -> None:
    text = documents.load("do: [{a: {set: {x: 1}}}]")
    assert {placed.node.name for placed in lay_out(project(text.value, "x")).nodes.values()} == {
        "Start",
        "a",
        "End",
    }


@pytest.mark.parametrize(
    "known",
    [{"actions": [{"name": "details", "uses": "ask:1.0.0"}]}, {"calls": {"details": {"action": "ask"}}}],
    ids=["draft", "version"],
)
def test_work_for_people_shows_a_person_whatever_the_call_is_named(known: dict[str, Any]) -> None:
    text = "[{a: {call: details}}, {b: {call: sign}}, {c: {call: approve}}, {d: {call: look}}]"
    definition = {**steps(text), "use": {"functions": {"sign": {"call": "approve"}, "look": {"call": 7}}}}
    graph = project(definition, "x", **known)
    assert [node.name for node in graph.nodes() if node.asks_somebody] == ["a", "b", "c"]
    assert draw(lay_out(graph)).count(icons.KINDS["task"]) == 3

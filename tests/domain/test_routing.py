"""Event triggers judge an event: by type, attributes, filter, age and correlation, within their budget."""

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.cloudevents import moment
from domain.routing import FilterFailed, Fit, Misfit, input_of, judge, parse, told, types

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def event(**more: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "1", "source": "s", "type": "a", **more}


def takes(configuration: dict[str, Any], **more: Any) -> bool:
    return isinstance(judge(parse(configuration), event(**more), NOON), Fit)


@pytest.mark.parametrize(
    ("configuration", "meant", "other"),
    [
        ({"type": "a"}, {}, {"type": "b"}),
        ({"type": ["a", "b"]}, {"type": "b"}, {"type": "c"}),
        ({"type": "a\\..*"}, {"type": "a.b"}, {"type": "ab"}),
        ({"type": "a.b"}, {"type": "a.b"}, {"type": "axb"}),
        ({"type": "a", "source": "s"}, {}, {"source": "t"}),
        ({"type": "a", "subject": "c-1"}, {"subject": "c-1"}, {}),
        ({"type": "a", "filter": ".data.n > 3"}, {"data": {"n": 4}}, {"data": {"n": 3}}),
        ({"type": "a", "filter": "${ .data.n }"}, {"data": {"n": 0}}, {"data": {"n": None}}),
        ({"type": "a", "filter": ".roomid == 7"}, {"roomid": 7}, {"roomid": "7"}),
        (
            {"on": {"one": {"with": {"type": "a", "data": "${ .n == 1 }"}}}},
            {"data": {"n": 1}},
            {"data": {"n": True}},
        ),
        ({"on": {"any": []}}, {"type": "whatever"}, None),
    ],
)
def test_what_is_meant(
    configuration: dict[str, Any], meant: dict[str, Any], other: dict[str, Any] | None
) -> None:
    assert takes(configuration, **meant)
    assert other is None or not takes(configuration, **other)


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ({"type": "a"}, ["a"]),
        ({"type": ["a", "b", "a"]}, ["a", "b"]),
        ({"type": "a.*"}, None),
        ({"on": {"any": []}}, None),
        ({"on": {"all": [{"with": {"type": "a"}}, {"with": {"type": "b"}}]}}, ["a", "b"]),
        ({"on": {"any": [{"with": {"type": "a"}}, {"with": {"source": "s"}}]}}, None),
    ],
)
def test_the_types_it_can_take(configuration: dict[str, Any], expected: list[str] | None) -> None:
    assert types(configuration) == expected


def test_a_filter_that_fails_is_an_error_and_one_beside_it_may_still_take_the_event() -> None:
    failing = {"with": {"type": "a", "data": '${ .n | test("x") }'}}
    with pytest.raises(FilterFailed, match="test"):
        judge(parse({"on": {"one": failing}}), event(data={"n": 1}), NOON)
    both = parse({"on": {"any": [failing, {"with": {"type": "a"}}]}})
    assert isinstance(judge(both, event(data={"n": 1}), NOON), Fit)


def test_all_filters_together_have_one_budget() -> None:
    dear = {"with": {"data": "${ [range(20000)] | length < 0 }"}}
    with pytest.raises(FilterFailed, match="too many steps"):
        judge(parse({"on": {"any": [dear] * 50}}), event(data=1), NOON)


def test_an_event_is_late_by_its_own_time() -> None:
    trigger = parse({"type": "a", "max_age": "1 hour"})
    assert isinstance(judge(trigger, event(time="2026-11-23T11:00:00Z"), NOON), Fit)
    late = judge(trigger, event(time="2026-11-23T10:59:58+00:00"), NOON)
    assert isinstance(late, Misfit)
    assert late.is_late
    assert "1 hour and 2 seconds after" in late.reason
    assert isinstance(judge(trigger, event(), NOON), Fit), "one that does not say when is in time"


def test_correlations_tell_sets_apart() -> None:
    both = [
        {
            "with": {"type": type},
            "correlate": {"order": {"from": ".data.order"}, "shop": {"from": ".data.shop", "expect": "n"}},
        }
        for type in ("a", "b")
    ]
    trigger = parse({"on": {"all": both}})

    def found(**data: Any) -> Fit | Misfit:
        return judge(trigger, event(data=data), NOON)

    one, other = found(order=1, shop="n"), found(order=2, shop="n")
    assert isinstance(one, Fit)
    assert isinstance(other, Fit)
    assert [filter for filter, _ in one.filters] == [0]
    assert one.filters[0][1] != other.filters[0][1]
    assert one == found(order=1, shop="n", more=True)
    assert one != found(order="1", shop="n")
    assert isinstance(found(order=1, shop="s"), Misfit)
    assert isinstance(found(shop="n"), Misfit)


def test_what_a_workflow_starts_with() -> None:
    one = event(data={"n": 1}, time="2026-11-23T11:00:00Z")
    assert input_of(parse({"type": "a"}), [one]) == {"n": 1}
    assert input_of(parse({"type": "a", "read": "envelope"}), [one]) == one
    assert input_of(parse({"on": {"one": {"with": {"type": "a"}}}}), [one]) == [{"n": 1}]
    brief = {"id": "1", "source": "s", "type": "a", "time": "2026-11-23T11:00:00Z"}
    assert told("paid", [one]) == {"type": "event", "name": "paid", "event": brief, "events": [brief]}


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("2026-11-23T11:00:00Z", True),
        ("2026-11-23t11:00:00.123456789+05:30", True),
        ("2026-11-23 11:00:00Z", False),
        ("2026-11-23T11:00:00", False),
        ("2026-13-23T11:00:00Z", False),
        ("2026-11-23T25:00:00Z", False),
        ("1700000000", False),
    ],
)
def test_times(text: str, is_one: bool) -> None:
    assert (moment(text) is not None) == is_one

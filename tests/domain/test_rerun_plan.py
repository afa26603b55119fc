"""What a plan announces: every call that may be come to, whether that is sure, and why something cannot be repeated."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.actions import Catalogue, Effect
from domain.definitions.expressions import Meter
from domain.definitions.faults import Fault
from domain.definitions.interpreter import begin
from domain.definitions.reach import ahead
from domain.definitions.retracing import Leg
from domain.errors import Invalid
from domain.rerun import (
    IrreversibleUnconfirmed,
    Original,
    Plan,
    PlanOutOfDate,
    Prepared,
    Refusal,
    RerunRefused,
    chosen,
    prepare,
)
from tests.factories.driver import ACTIONS, NEW_YEAR, Execution, Slow, execute, program

LATER = NEW_YEAR + timedelta(days=3) // timedelta(milliseconds=1)


def original(run: Execution, **given: Any) -> Original:
    beginning = begin(
        run.program, input=run.input, execution={"id": "e-1", "trigger": {}}, now=NEW_YEAR, budget=10**6
    )
    return Original("e-1", run.program, beginning, run.records, **given)


def planned(run: Execution, step: str, catalogue: Catalogue = ACTIONS, **given: Any) -> Prepared:
    at = chosen(run.program, run.records, step, given.pop("visit", None))
    refused = given.pop("refused", ())
    leg = Leg(at.occurrence, "e-2", LATER)
    return prepare(original(run, **given), at, leg, catalogue, Meter(1_000_000), refused)


def announced(plan: Plan) -> dict[str, bool]:
    return {effect.step: effect.is_certain for effect in plan.effects}


POST = {"call": "http", "with": {"method": "post", "endpoint": "https://example.com"}}
CALL = "{call: look, with: {}}"


def test_a_straight_way_is_sure_and_conditions_are_not() -> None:
    run = execute(
        f"""
- start: {CALL}
- sure: {CALL}
- maybe: {{if: .never, call: look, with: {{}}}}
- which: {{switch: [{{a: {{when: .a, then: one}}}}, {{b: {{then: two}}}}]}}
- one: {CALL[:-1]}, then: end}}
- two: {CALL}
- pure: {{set: {{a: 1}}}}
""",
        None,
        {name: {} for name in ("start", "sure", "one", "two")},
    )
    plan = planned(run, "sure").plan
    assert announced(plan) == {"sure": True, "maybe": False, "one": False, "two": False}
    assert {effect.step: effect.times_before for effect in plan.effects} == {
        "sure": 1,
        "maybe": 1,
        "one": 0,
        "two": 1,
    }
    assert [each.step for each in plan.answered] == ["start"]


def test_around_the_step_everything_open_counts() -> None:
    run = execute(
        f"""
- loop:
    for: {{in: "[1, 2, 3]", each: n}}
    do:
      - first: {CALL}
      - careful:
          try:
            - inner: {CALL}
            - tail: {CALL}
          catch:
            retry: {{delay: PT1S, limit: {{attempt: {{count: 2}}}}}}
            do: [{{handler: {CALL}}}]
      - last: {CALL}
- after: {CALL}
""",
        None,
        {name: [{}, {}, {}] for name in ("first", "inner", "tail", "last")} | {"after": {}},
    )
    assert announced(planned(run, "tail", visit=1).plan) == {
        "first": True,
        "inner": True,
        "tail": True,
        "handler": False,
        "last": True,
        "after": True,
    }
    assert announced(planned(run, "tail", visit=3).plan) == {
        "inner": False,
        "tail": True,
        "handler": False,
        "last": True,
        "after": True,
    }
    assert announced(planned(run, "after").plan) == {"after": True}


def test_branches_that_are_still_open_count_and_those_that_are_done_do_not() -> None:
    steps = f"""
- all:
    fork:
      branches:
        - a: {{do: [{{a1: {CALL}}}, {{a2: {CALL}}}]}}
        - b: {{do: [{{b1: {CALL}}}, {{b2: {CALL}}}, {{b3: {CALL}}}]}}
        - c: {{do: [{{c1: {CALL}}}, {{c2: {CALL}}}]}}
- join: {CALL}
"""
    replies = {
        "a1": {},
        "a2": {},
        "b1": Slow(3_000, {}),
        "b2": {},
        "b3": {},
        "c1": Slow(3_500, {}),
        "c2": {},
        "join": {},
    }
    run = execute(steps, None, replies)
    # While `b2` is due, branch a is done and `c1` has its answer in the log; what follows it comes again.
    assert announced(planned(run, "b2").plan) == {"b2": True, "b3": True, "c2": True, "join": True}
    racing = execute(
        steps.replace("    fork:\n", "    fork:\n      compete: true\n"),
        None,
        {**replies, "a2": Slow(9_000, {}), "c2": Slow(9_000, {})},
    )
    plan = planned(racing, "b2").plan
    assert [effect.step for effect in plan.effects if effect.is_under_way] == ["a2"]
    assert announced(plan) == {"a2": True, "b2": True, "b3": False, "c2": False, "join": True}


def test_beside_a_branch_that_may_end_everything_nothing_is_sure() -> None:
    run = execute(
        f"""
- begin: {CALL}
- all:
    fork:
      branches:
        - a: {{do: [{{a1: {CALL}}}, {{a2: {CALL}}}]}}
        - b: {{do: [{{b1: {CALL}}}, {{enough: {{switch: [{{yes: {{when: .n == 1, then: end}}}}]}}}}]}}
- join: {CALL}
""",
        None,
        {"begin": {}, "a1": {}, "a2": {}, "b1": {"n": 2}, "join": {}},
    )
    sure = {"begin": True, "a1": False, "a2": False, "b1": False, "join": False}
    assert announced(planned(run, "begin").plan) == sure
    # The step it begins with is sure, in a branch too.
    assert announced(planned(run, "a1").plan) == {"a1": True, "a2": False, "b1": True, "join": False}


def test_functions_jumps_and_endings() -> None:
    run = execute(
        """
- again: {call: look, with: {}}
- greet: {call: hello, with: {who: Ada}}
- stop: {switch: [{more: {when: .more, then: again}}, {odd: {when: .odd, then: ended}}, {done: {then: exit}}]}
- ended: {call: look, with: {}, then: end}
""",
        None,
        {"again": {}, "hello": {}},
        use={"functions": {"hello": {"call": "quick", "with": {"note": "x"}}}},
    )
    plan = planned(run, "greet").plan
    assert announced(plan) == {"again": False, "hello": True, "ended": False}
    before = planned(run, "again").retraced
    assert before is not None
    way = ahead(run.program, before.state)
    assert way["/do/2/stop"], "the switch itself is sure"


def test_what_a_request_does_depends_on_its_method() -> None:
    run = execute(
        [
            {"start": {"set": {"a": 1}}},
            {"read": {"call": "http", "with": {"method": "get", "endpoint": "https://example.com"}}},
            {"write": POST},
            {"keyed": {"call": "http", "with": {**POST["with"], "idempotent": True}}},
            {"data": {"call": "http", "with": {**POST["with"], "method": "${ .method }"}}},
        ],
        {"method": "get"},
        {"read": {}, "write": {}, "keyed": {}, "data": {}},
    )
    plan = planned(run, "start").plan
    assert {effect.step: effect.effect for effect in plan.effects} == {
        "read": Effect.IDEMPOTENT,
        "write": Effect.IRREVERSIBLE,
        "keyed": Effect.KEYED,
        "data": Effect.IRREVERSIBLE,
    }
    # What really happened is known better.
    ledger = {"/do/4/data#1": Effect.IDEMPOTENT}
    told = {e.step: e.effect for e in planned(run, "start", ledger=ledger).plan.effects}
    assert (told["data"], told["write"]) == (Effect.IDEMPOTENT, Effect.IRREVERSIBLE)


def test_a_confirmation_names_the_plan_and_what_cannot_be_undone() -> None:
    run = execute([{"a": {"set": {"n": 1}}}, {"b": POST}], None, {"b": {}})
    plan = planned(run, "b").plan
    with pytest.raises(PlanOutOfDate):
        plan.require("0" * 64, irreversible=True)
    with pytest.raises(IrreversibleUnconfirmed, match=r"\(b\)"):
        plan.require(plan.digest, irreversible=False)
    plan.require(plan.digest, irreversible=True)
    assert planned(run, "b").plan.digest == plan.digest
    assert planned(run, "b", stamp=["another"]).plan.digest != plan.digest
    assert planned(run, "a").plan.digest != plan.digest
    refused = planned(run, "b", refused=[Refusal("execution_open", "It is still running.")]).plan
    assert refused.digest is None
    with pytest.raises(RerunRefused, match="still running"):
        refused.require(None, irreversible=True)


def test_undone_steps_and_lost_actions_are_refused() -> None:
    run = Execution(
        program(
            """
- room: {call: look, with: {}, metadata: {compensate: {call: quick, with: {note: x}}}}
- oops: {call: look, with: {}}
"""
        ),
        None,
        {"room": {}, "oops": Fault("runtime", 500, "No"), "room!compensate": {}},
    ).run()
    assert [each.code for each in planned(run, "oops", undone={"/do/0/room#1"}).plan.refusals] == ["undone"]
    assert planned(run, "room", undone={"/do/0/room#1"}).plan.refusals == ()
    assert [each.step for each in planned(run, "oops").plan.undoes] == ["room"]
    assert planned(run, "oops", hands_over=False).plan.undoes == ()
    taken = {"/do/0/room#1"}
    assert planned(run, "oops", taken_over=taken, hands_over_taken=False).plan.undoes == ()
    without = Catalogue(spec for spec in ACTIONS if spec.name != "quick")
    [gone] = planned(run, "oops", without).plan.refusals
    assert gone.code == "action_gone"
    assert "'room (undoing it)' calls quick:1.0.0" in gone.message


def test_a_state_that_no_start_can_carry_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    run = execute([{"a": {"set": {"text": "${ [range(2000)] }"}}}, {"b": POST}], None, {"b": {}})
    assert planned(run, "b").plan.refusals == ()
    monkeypatch.setattr("domain.rerun.MAXIMUM_STATE", 5_000)
    assert [each.code for each in planned(run, "b").plan.refusals] == ["too_large"]


def test_which_step_is_meant() -> None:
    run = Execution(
        program(
            """
- loop: {for: {in: "[1, 2]"}, do: [{twice: {set: {n: "${ $item }"}}}]}
- other: {do: [{same: {set: {n: 3}}}]}
- more: {do: [{same: {set: {n: 3}}}]}
- fails: {set: '${ 1 + "a" }'}
"""
        )
    ).run()
    log = run.records
    assert run.finish is not None
    pick = lambda *asked, **more: chosen(run.program, log, *asked, **more).occurrence  # noqa: E731
    assert pick(None, None, run.finish.error) == "/do/3/fails#1"
    assert pick(None, None) == "/do/0/loop#1"
    assert pick("twice", None) == "/do/0/loop/do/0/twice#2"
    assert pick("twice", 1) == pick("/do/0/loop/do/0/twice", 1) == "/do/0/loop/do/0/twice#1"
    assert pick("/do/2/more/do/0/same#1", None) == "/do/2/more/do/0/same#1"
    for asked in (("same", None), ("twice", 3), ("nobody", None)):
        with pytest.raises(Invalid):
            pick(*asked)
    with pytest.raises(Invalid, match="no such step") as caught:
        chosen(run.program, {}, None, None)
    assert "start its workflow again" in caught.value.problems[0].message


def test_legs_end_where_the_step_lies() -> None:
    run = execute("- a: {set: {n: 1}}\n- b: {set: {n: 2}}\n- c: {set: {n: 3}}")
    legs = [Leg("/do/1/b#1", "e-1", LATER)]
    again = original(run, legs=legs)
    for step, expected in (("a", 1), ("b", 1), ("c", 2)):
        at = chosen(run.program, run.records, step, None)
        found = prepare(again, at, Leg(at.occurrence, "e-9", LATER), ACTIONS, Meter(10**6))
        assert len(found.legs) == expected, step
    assert replace(again, legs=()).legs == ()

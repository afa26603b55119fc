"""Whatever is nested in whatever, in whatever order the world answers: it ends, and leaves nothing open."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.definitions.commands import (
    CallAction,
    Cancelled,
    Command,
    Completed,
    Event,
    Failed,
    Finish,
    Resume,
    Sleep,
    Stop,
    Stopped,
    Tick,
)
from domain.definitions.faults import Fault
from domain.errors import Invalid
from domain.executions import ExecutionStatus
from tests.factories.driver import Execution, program

DOWN = Fault("communication", 503, "Down")
BUDGET = 60


def _optional(**parts: Any) -> Any:
    return st.fixed_dictionaries({}, optional=parts)


AROUND = _optional(
    **{
        "timeout": st.sampled_from([{"after": "PT1S"}, {"after": "PT1H"}]),
        "metadata": st.just({"compensate": {"call": "quick"}}),
        "export": st.sampled_from([{"as": "$context + {a: 1}"}, {"as": "{b: 2}"}, {"as": "[1]"}]),
        "if": st.sampled_from(["true", "$context | length < 2"]),
        "then": st.sampled_from(["continue", "continue", "exit", "end"]),
    }
)
LEAF = st.sampled_from(
    [
        *[{"call": "look"}] * 3,
        {"call": "quick"},
        {"wait": "PT2S"},
        {"set": {"n": "${ [$context] }"}},
        {"set": "${ error }"},
        {"raise": {"error": {"type": "timeout", "status": 408}}},
    ]
)
RETRY = st.sampled_from(
    [
        {},
        {"delay": "PT1S"},
        {"limit": {"attempt": {"count": 2, "duration": "PT3S"}}},
        {"delay": "PT1S", "backoff": {"exponential": {}}, "limit": {"duration": "PT9S"}},
    ]
)


def _list(steps: Any, least: int = 1) -> Any:
    return st.lists(steps, min_size=least, max_size=3).map(
        lambda each: [{f"s{index}": step} for index, step in enumerate(each)]
    )


def _nested(inner: Any) -> Any:
    catch = _optional(
        errors=st.sampled_from([{"with": {"status": 503}}, {"with": {"status": 408}}]),
        when=st.sampled_from(["true", "$error.status == 503", "error"]),
        retry=RETRY,
        do=_list(inner),
    )
    return st.one_of(
        st.builds(lambda do: {"do": do}, _list(inner)),
        st.builds(lambda do: {"for": {"in": "[1, 2]"}, "do": do}, _list(inner)),
        *[
            st.builds(
                lambda branches, compete: {"fork": {"branches": branches, "compete": compete}},
                _list(inner, 2),
                st.booleans(),
            )
        ]
        * 2,
        *[st.builds(lambda do, catch: {"try": do, "catch": catch}, _list(inner), catch)] * 2,
    )


def _around(work: Any) -> Any:
    return st.builds(lambda around, work: {**around, **work}, AROUND, work)


STEPS = _list(st.recursive(_around(LEAF), lambda inner: _around(_nested(inner)), max_leaves=14))
PARTS = _optional(
    timeout=st.just({"after": "PT20S"}),
    use=st.sampled_from(
        [
            {"extensions": [{"e": {"extend": "all", "before": [{"b": {"call": "quick"}}]}}]},
            {"extensions": [{"e": {"extend": "call", "after": [{"a": {"call": "quick"}}]}}]},
            {"extensions": [{"e": {"extend": "call", "before": [{"b": {"set": {"x": 1}, "then": "exit"}}]}}]},
        ]
    ),
)


class World:
    """Answers in an order that `choose` decides; holds the interpreter to what it must keep."""

    def __init__(self, run: Execution, choose: Callable[[int], int]) -> None:
        self.run = run
        self.choose = choose
        self.open: dict[str, Command] = {}
        self.stopped: set[str] = set()
        self.seen: set[str] = set()

    def play(self) -> None:
        self.take(Resume(self.run.now))
        for _ in range(3000):
            if self.run.finish is not None:
                return
            self.take(self.event())
        raise AssertionError("the execution does not end")

    def take(self, event: Event) -> None:
        for command in self.run.take(event):
            if isinstance(command, Stop):
                assert command.occurrence in self.open, "only what is under way is stopped"
                assert command.occurrence not in self.stopped, "and once"
                self.stopped.add(command.occurrence)
            elif isinstance(command, CallAction | Sleep):
                assert command.occurrence not in self.seen, "an occurrence is asked for once"
                self.seen.add(command.occurrence)
                self.open[command.occurrence] = command
            else:
                assert isinstance(command, Finish), command
                assert not self.open, "nothing is under way when an execution has finished"
        state = self.run.state
        awaited = {name for each in state.stopping for name in each.awaited}
        assert awaited.isdisjoint(state.pending)
        assert awaited == self.stopped
        assert awaited | state.pending.keys() == self.open.keys()
        assert not state.todo, "what is due was carried out"
        assert all(each.parent is None or each.parent in state.frames for each in state.frames.values())
        assert state.contexts.keys() <= state.frames.keys()

    def event(self) -> Event:
        run, deadline = self.run, self.run.state.next_deadline
        kind = self.choose(24)
        if kind == 0:
            return Cancelled(run.now)
        if deadline is not None and (kind in (1, 2) or not self.open):
            run.now = max(run.now, deadline)
            return Tick(run.now)
        assert self.open, "nothing is under way and nothing will happen"
        name = list(self.open)[self.choose(len(self.open))]
        command = self.open.pop(name)
        run.now = max(run.now + 500, command.until if isinstance(command, Sleep) else 0)
        if name in self.stopped:
            self.stopped.remove(name)
            if kind < 12:
                return Stopped(run.now, name)
        if isinstance(command, CallAction) and kind % 3 == 0:
            return Failed(run.now, name, DOWN.as_json())
        return Completed(run.now, name, {"kind": kind})


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
@given(STEPS, PARTS, st.integers(0, 2**32), st.sampled_from([None, None, 60, 150, 400]))
def test_any_tree_ends_in_any_order_of_answers(
    do: list[Any], parts: Any, seed: int, fuel: int | None
) -> None:
    try:
        made = program(do, **parts)
    except Invalid:
        return
    number = seed

    def choose(of: int) -> int:
        nonlocal number
        number = (number * 6364136223846793005 + 1442695040888963407) % 2**64
        return (number >> 33) % of

    run = Execution(made, None, fuel=fuel, budget=BUDGET)
    World(run, choose).play()
    assert run.finish is not None
    status = run.finish.status
    entered = [each for each in run.records.values() if not each.occurrence.endswith("!compensate")]
    assert len(entered) <= BUDGET + 1
    assert len({each.position for each in run.records.values()}) == len(run.records)
    assert all(each.completed is not None for each in run.records.values()), "every step has ended in the log"
    undone = [each for each in run.records.values() if each.occurrence.endswith("!compensate")]
    kept = {
        each.occurrence + "!compensate"
        for each in entered
        if each.status == "completed" and made.steps[each.pointer].compensation is not None
    }
    if status is ExecutionStatus.COMPLETED:
        assert not undone
    else:
        assert kept <= {each.occurrence for each in undone}
    assert run.state.is_over
    assert run.state.next_deadline is None

"""Repeating a recorded execution from one of its steps on: the plan that says what happens again, and to whom.

A plan is shown, then confirmed by its digest. Whatever would make it untrue makes another digest: another state of the
log, another rerun in between, an action that is gone.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from typing import Any, Final

from domain.actions import Catalogue, Effect, Lane
from domain.definitions.commands import CallAction, StepRecord, command_as_json
from domain.definitions.expressions import Json, Meter, is_expression
from domain.definitions.program import Call, Program, Step
from domain.definitions.reach import ahead
from domain.definitions.recall import NotRecalled
from domain.definitions.retracing import Leg, LogIncomplete, Retraced, retrace
from domain.definitions.state import State
from domain.definitions.values import canonical, measure
from domain.errors import Conflict, Invalid, Problem
from domain.http import effect_of
from domain.segments import MAXIMUM_CARRIED, MAXIMUM_STATE

#: Reruns of reruns of reruns: each is walked through before the next.
MOST_LEGS: Final = 20
#: Lines of a log that are walked again at most.
MOST_STEPS: Final = 20_000
#: Where what is done can be worse than the action says, the worst last.
_WORSE: Final = (Effect.PURE, Effect.IDEMPOTENT, Effect.KEYED, Effect.IRREVERSIBLE)
#: What these do depends on the method of the request.
_REQUESTS: Final = frozenset({"http.request", "openapi.request"})
_UNDOING: Final = "!compensate"


class RerunRefused(Conflict):
    """This execution cannot be repeated from this step; see `errors` for the reasons."""

    code = "rerun_refused"


class PlanOutOfDate(Conflict):
    """Something has changed since this plan was made; look at the new one and confirm that."""

    code = "plan_out_of_date"


class IrreversibleUnconfirmed(Conflict):
    """Some of what would happen again cannot be undone; send `confirm_irreversible: true` if that is wanted."""

    code = "irreversible_unconfirmed"


@dataclass(frozen=True, slots=True)
class Refusal:
    """`code` is execution_open, own_process, not_runnable, log_incomplete, not_recalled, undone, action_gone,
    too_large, too_many_steps or too_many_reruns."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A step that was entered before: it happens no second time."""

    occurrence: str
    step: str
    kind: str
    action: str | None
    status: str


@dataclass(frozen=True, slots=True)
class PlannedEffect:
    """A call that is carried out again, or for the first time.

    `is_certain`: it surely is, if nothing fails, however conditions turn out. `times_before`: how often the original
    did it, from the chosen step on. `is_under_way`: it had begun beside the chosen step and begins again.
    """

    pointer: str
    step: str
    action: str
    version: str
    effect: Effect
    is_irreversible: bool
    is_certain: bool
    times_before: int
    is_under_way: bool = False


@dataclass(frozen=True, slots=True)
class Undo:
    """A call kept for undoing a step that is answered from the log, should the rerun not succeed."""

    occurrence: str
    step: str
    action: str


@dataclass(frozen=True, slots=True)
class Plan:
    """`digest` is what a confirmation names; None where something is refused."""

    execution_id: str
    occurrence: str
    step: str
    answered: tuple[Answered, ...] = ()
    effects: tuple[PlannedEffect, ...] = ()
    undoes: tuple[Undo, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    digest: str | None = None

    @property
    def has_irreversible(self) -> bool:
        return any(effect.is_irreversible for effect in self.effects)

    def require(self, digest: str | None, *, irreversible: bool) -> None:
        """Raises RerunRefused, PlanOutOfDate, IrreversibleUnconfirmed."""
        if self.refusals:
            problems = [Problem("#/from", each.message, None, each.code) for each in self.refusals]
            raise RerunRefused(self.refusals[0].message, problems=problems)
        if digest != self.digest:
            raise PlanOutOfDate
        if self.has_irreversible and not irreversible:
            steps = ", ".join(dict.fromkeys(e.step for e in self.effects if e.is_irreversible))
            raise IrreversibleUnconfirmed(
                f"Nothing can undo what would happen again ({steps}); send `confirm_irreversible: true` if that is"
                " wanted."
            )


@dataclass(frozen=True, slots=True)
class Original:
    """The execution that is to be repeated, as its rows tell it."""

    id: str
    program: Program
    #: At its very beginning, with its own input, trigger and clock.
    beginning: State
    log: Mapping[str, StepRecord]
    #: The earlier reruns in this line, the first of them first: how far each one's original had come.
    legs: Sequence[Leg] = ()
    #: Steps that it took over itself.
    taken_over: Collection[str] = ()
    #: What it did to the outside world, by occurrence.
    ledger: Mapping[str, Effect] = field(default_factory=dict)
    #: Steps that somebody of the family has undone, or begun to.
    undone: Collection[str] = ()
    #: Whether what was kept for undoing its own steps goes over to the rerun, and for those it took over.
    hands_over: bool = True
    hands_over_taken: bool = True
    #: Whatever changes when the original, its log or its family does.
    stamp: Json = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """`retraced` is what the rerun begins with; None where the plan refuses."""

    plan: Plan
    retraced: Retraced | None = None
    #: The ways to where it begins, for whoever repeats the rerun.
    legs: Sequence[Leg] = ()


def chosen(
    program: Program, log: Mapping[str, StepRecord], step: str | None, visit: int | None, error: Any = None
) -> StepRecord:
    """The entry into a step that is meant: by occurrence, pointer or name; the latest unless `visit` says which.

    Without a step, where it failed, or else the first one. Raises Invalid.
    """
    entered = [line for line in log.values() if not line.occurrence.endswith(_UNDOING)]
    if not entered:
        raise nothing_entered()
    if step is None:
        pointer = error.get("instance") if isinstance(error, Mapping) else None
        failed = [line for line in entered if line.pointer == pointer]
        return max(failed, key=_place) if failed else min(entered, key=_place)
    if visit is None and step in log and not step.endswith(_UNDOING):
        return log[step]
    pointers = [step] if step in program.steps else _named(program, step)
    found = [line for line in entered if line.pointer in pointers and visit in (None, line.visit)]
    if len(pointers) > 1 and len({line.pointer for line in found}) > 1:
        raise _unknown("Several steps have this name.", f"Send one of {', '.join(pointers[:10])}.")
    if not found:
        times = "" if visit is None else f" {visit} times"
        raise _unknown(
            f"This execution has not entered this step{times}.", "Its steps are listed at `links.steps`."
        )
    return max(found, key=_place)


def nothing_entered() -> Invalid:
    return _unknown("This execution has entered no step; start its workflow again instead.")


def prepare(
    original: Original,
    at: StepRecord,
    leg: Leg,
    catalogue: Catalogue,
    meter: Meter,
    refused: Sequence[Refusal] = (),
) -> Prepared:
    """Walk as far as `at`, the last of the ways being `leg`, and say what happens from there."""
    plan = Plan(original.id, at.occurrence, at.name, refusals=tuple(refused))
    if refused:
        return Prepared(plan)
    legs = [*legs_to(original, at), leg]
    try:
        retraced = _retraced(original, legs, meter)
    except LogIncomplete as why:
        told = f"What came before cannot be answered: {why}. Lines are removed as the organization's retention says."
        return Prepared(replace(plan, refusals=(Refusal("log_incomplete", told),)))
    except NotRecalled as why:
        told = f"What came before cannot be followed once more: {why}."
        return Prepared(replace(plan, refusals=(Refusal("not_recalled", told),)))
    effects = tuple(_effects(original, retraced))
    plan = replace(
        plan,
        answered=tuple(_answered(retraced)),
        effects=effects,
        undoes=tuple(_undoes(original.program, retraced.state)),
        refusals=tuple(_refusals(original, retraced, effects, catalogue)),
    )
    if plan.refusals:
        return Prepared(plan)
    return Prepared(replace(plan, digest=_digest(plan, original.stamp)), retraced, legs)


def legs_to(original: Original, at: StepRecord) -> Sequence[Leg]:
    """The earlier reruns that lie before the step. One that began at it or behind it is not walked through."""
    return [leg for leg in original.legs if _line(original.log, leg.until) < _place(at)]


def _line(log: Mapping[str, StepRecord], occurrence: str) -> int:
    """A rerun's own first step always has a line, unless it was removed: then the walk will tell."""
    line = log.get(occurrence)
    return 0 if line is None else _place(line)


def _retraced(original: Original, legs: Sequence[Leg], meter: Meter) -> Retraced:
    retraced = retrace(original.program, original.beginning, original.log, legs, meter)
    state = retraced.state
    state.compensations = [
        each
        for each in state.compensations
        if (
            original.hands_over_taken
            if _step_of(each.occurrence) in original.taken_over
            else original.hands_over
        )
    ]
    return retraced


def _answered(retraced: Retraced) -> Iterator[Answered]:
    again = {command.occurrence for command in retraced.commands if isinstance(command, CallAction)}
    for line in sorted(retraced.records.values(), key=_place):
        if line.occurrence not in again:
            yield Answered(line.occurrence, line.name, line.kind, line.action, line.status.value)


def _effects(original: Original, retraced: Retraced) -> Iterator[PlannedEffect]:
    """Calls that touch the world; what only computes may be repeated unseen."""
    program = original.program
    ledger: dict[str, list[Effect]] = {}
    for occurrence, effect in original.ledger.items():
        ledger.setdefault(occurrence.rpartition("#")[0], []).append(effect)
    before = Counter(
        line.pointer for line in original.log.values() if line.occurrence not in retraced.records
    )
    for command in retraced.commands:
        if isinstance(command, CallAction):
            pointer = command.occurrence.rpartition("#")[0]
            effect = _effect(program.steps[pointer], ledger.get(pointer, ()))
            if _is_felt(program.steps[pointer], effect):
                yield _planned(program.steps[pointer], effect, sure=True, times=0, under_way=True)
    for pointer, sure in ahead(program, retraced.state).items():
        step = program.steps[pointer]
        if isinstance(step.work, Call):
            effect = _effect(step, ledger.get(pointer, ()))
            if _is_felt(step, effect):
                yield _planned(step, effect, sure=sure, times=before[pointer])


def _planned(step: Step, effect: Effect, *, sure: bool, times: int, under_way: bool = False) -> PlannedEffect:
    assert isinstance(step.work, Call)
    pinned = step.work.pinned
    return PlannedEffect(
        step.pointer,
        step.name,
        pinned.action,
        pinned.version,
        effect,
        effect is Effect.IRREVERSIBLE,
        sure,
        times,
        under_way,
    )


def _is_felt(step: Step, effect: Effect) -> bool:
    assert isinstance(step.work, Call)
    return effect is not Effect.PURE or step.work.pinned.lane in (Lane.TASK, Lane.EXECUTION)


def _effect(step: Step, known: Sequence[Effect]) -> Effect:
    """What the call does: as the ledger has it, else as far as the definition says, else the worst it may be."""
    assert isinstance(step.work, Call)
    pinned = step.work.pinned
    if known:
        return max(known, key=_WORSE.index)
    if pinned.action not in _REQUESTS:
        return pinned.effect
    given = step.definition.get("with")
    given = {**pinned.defaults, **(given if isinstance(given, dict) else {})}
    method, idempotent = given.get("method"), given.get("idempotent", False)
    if idempotent is True:
        return Effect.KEYED
    if not isinstance(method, str) or is_expression(method):
        return Effect.IRREVERSIBLE
    return effect_of(method, idempotent=False)


def _undoes(program: Program, state: State) -> Iterator[Undo]:
    for each in reversed(state.compensations):
        step = program.steps[each.pointer]
        assert step.compensation is not None
        yield Undo(_step_of(each.occurrence), step.name, step.compensation.pinned.action)


def _refusals(
    original: Original, retraced: Retraced, effects: Sequence[PlannedEffect], catalogue: Catalogue
) -> Iterator[Refusal]:
    undone = [line for line in retraced.records.values() if line.occurrence in original.undone]
    if undone:
        first = min(undone, key=_place)
        names = ", ".join(dict.fromkeys(line.name for line in sorted(undone, key=_place)))
        yield Refusal(
            "undone",
            f"What these steps did has been undone since: {names}. Repeat it from '{first.name}'"
            f" ({first.occurrence}) or from before it.",
        )
    yield from _gone(original.program, retraced, catalogue)
    state = retraced.state.as_json()
    commands: list[Json] = [command_as_json(command) for command in retraced.commands]
    if (
        measure(state, MAXIMUM_STATE) > MAXIMUM_STATE
        or measure([state, commands], MAXIMUM_CARRIED) > MAXIMUM_CARRIED
    ):
        yield Refusal(
            "too_large",
            "What the execution carries at this step exceeds 1 MB, which is more than an execution can be started"
            " with; choose an earlier step, or narrow the data with `output.as` and `export.as` in a new version.",
        )


def _gone(program: Program, retraced: Retraced, catalogue: Catalogue) -> Iterator[Refusal]:
    """An action that no worker has any more would fail its step only when it is come to."""
    steps = [program.steps[pointer] for pointer in ahead(program, retraced.state)]
    calls = [(step.name, step.work) for step in steps if isinstance(step.work, Call)]
    calls += [(f"{step.name} (undoing it)", step.compensation) for step in steps if step.compensation]
    for each in retraced.state.compensations:
        undoing = program.steps[each.pointer].compensation
        calls += [(f"{program.steps[each.pointer].name} (undoing it)", undoing)] if undoing else []
    told = set[str]()
    for name, call in calls:
        pinned = call.pinned
        action = f"{pinned.action}:{pinned.version}"
        if action not in told and catalogue.find(pinned.action, pinned.version) is None:
            told.add(action)
            yield Refusal(
                "action_gone",
                f"Step '{name}' calls {action}, which no worker has any more; publish the workflow again and start"
                " it anew.",
            )


def _digest(plan: Plan, stamp: Json) -> str:
    answered = "\n".join(f"{each.occurrence} {each.status}" for each in plan.answered)
    told: dict[str, Any] = {
        "execution": plan.execution_id,
        "from": plan.occurrence,
        "answered": sha256(answered.encode()).hexdigest(),
        "effects": [asdict(each) for each in plan.effects],
        "undoes": [asdict(each) for each in plan.undoes],
        "stamp": stamp,
    }
    return sha256(canonical(told)).hexdigest()


def _step_of(occurrence: str) -> str:
    return occurrence.removesuffix(_UNDOING)


def _place(line: StepRecord) -> int:
    return line.position


def _named(program: Program, name: str) -> list[str]:
    found = [pointer for pointer, step in program.steps.items() if step.name == name]
    if not found:
        names = ", ".join(sorted({step.name for step in program.steps.values()})[:20])
        raise _unknown("This version has no such step.", f"Its steps are {names}.")
    return found


def _unknown(message: str, suggestion: str | None = None) -> Invalid:
    problem = Problem("#/from", message, suggestion, "no_such_step")
    return Invalid("There is no such step to repeat this execution from.", problems=[problem])

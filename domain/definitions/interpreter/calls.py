"""Calls: the arguments, and the shaping of the output where an activity can do it before anything travels."""

from datetime import timedelta

from domain.actions import Lane
from domain.definitions.checks import MAXIMUM_VALUE, charge_walk, checked
from domain.definitions.commands import CallAction, Shaping, Withholding
from domain.definitions.expressions import Json
from domain.definitions.faults import Fault
from domain.definitions.model import SECRETS
from domain.definitions.program import Call, Function, Step
from domain.definitions.state import Frame
from domain.definitions.values import measure
from domain.executions import StepStatus

from .activation import Activation, Commit

#: What shaping reads travels with the command up to this size, in bytes; beyond it the walk shapes by itself.
MAXIMUM_SHAPING = 256 * 1024
#: Where somebody else answers, in his own time.
_WAITS = frozenset({Lane.TASK, Lane.EXECUTION})


def prepare(activation: Activation, step: Step, call: Call, frame: Frame) -> Commit:
    command = _command(activation, step, call, frame)

    def commit() -> None:
        activation.state.pending[command.occurrence] = frame.id
        status = StepStatus.WAITING if command.lane in _WAITS else StepStatus.RUNNING
        activation.stay(frame, status, input=command.arguments)
        activation.commands.append(command)

    return commit


def prepare_function(activation: Activation, step: Step, function: Function, frame: Frame) -> Commit:
    """The arguments become the input of the function's own step, which does the rest."""
    value = frame.value
    if function.arguments is not None:
        value = activation.evaluate(function.arguments, frame.value, frame)
        checked(value, f"`with` of step '{step.name}'", activation.meter)

    def commit() -> None:
        activation.stay(frame, StepStatus.RUNNING, input=None if function.arguments is None else value)
        activation.open_block(frame, function.block, value)

    return commit


def _command(activation: Activation, step: Step, call: Call, frame: Frame) -> CallAction:
    pinned = call.pinned
    given, withheld = arguments(activation, call, frame, frame.value, step.pointer)
    return CallAction(
        occurrence=frame.occurrence,
        name=step.name,
        action=pinned.action,
        version=pinned.version,
        lane=pinned.lane,
        effect=pinned.effect,
        timeout_ms=pinned.timeout // timedelta(milliseconds=1),
        arguments=given,
        shaping=_shaping(activation, step, frame) if pinned.lane is Lane.ACTIVITY else None,
        withheld=withheld,
    )


def arguments(
    activation: Activation, call: Call, frame: Frame, data: Json, pointer: str
) -> tuple[Json, Withholding | None]:
    """The arguments of a call that stands at `pointer` in the program, and what those that read secrets need.

    `data` is what `.` means; the rest of the scope is that of `frame`.
    """
    name = activation.step(frame).name
    given = _with_uri_variables(activation.evaluate(call.arguments, data, frame), call.variables, data)
    checked(given, f"`with` of step '{name}'", activation.meter)
    if not call.arguments.withheld:
        return given, None
    return given, _withheld(activation, name, call, frame, data, pointer)


def _with_uri_variables(arguments: Json, names: frozenset[str], input: Json) -> Json:
    """`{name}` as the definition writes it reads a top-level field of the step's input.

    Braces that arrive with data are given no value: data must not choose what is sent.
    """
    if not isinstance(arguments, dict) or not isinstance(input, dict):
        return arguments
    variables = {name: input[name] for name in sorted(names) if name in input}
    return {**arguments, "variables": variables} if variables else arguments


def _withheld(
    activation: Activation, name: str, call: Call, frame: Frame, data: Json, pointer: str
) -> Withholding:
    """What the expressions beside `$secrets` read travels along, because the state does not."""
    texts = call.arguments.withheld
    names = frozenset[str]().union(*(text.template.names for text in texts)) - SECRETS
    scope = activation.scope(frame, names)
    value = data if any(text.needs_input for text in texts) else None
    size = measure([value, scope], MAXIMUM_VALUE)
    charge_walk(activation.meter, size)
    if size > MAXIMUM_VALUE:
        raise Fault(
            "runtime",
            413,
            "Value too large",
            f"what the expressions with `$secrets` of step '{name}' read is larger than"
            f" {MAXIMUM_VALUE // 1024} KB; keep what they need with `input.from`, or read the secret in an"
            " expression of its own",
        )
    return Withholding(pointer, value, scope)


def _shaping(activation: Activation, step: Step, frame: Frame) -> Shaping | None:
    """Large outputs are narrowed where they arise, so that only what is kept enters history."""
    if step.flow.output_as is None and step.flow.export_as is None:
        return None
    scope = activation.scope(frame, step.flow.leaving_names)
    size = measure(scope, MAXIMUM_SHAPING)
    charge_walk(activation.meter, size)
    return Shaping(step.pointer, scope) if size <= MAXIMUM_SHAPING else None

"""Arguments that read secrets: not evaluated where history is made, and completed only as the definition says."""

import pytest

from domain.definitions.commands import CallAction
from domain.definitions.expressions import FuelExhausted, Json, Meter
from domain.definitions.program import Call, Program
from domain.definitions.withheld import completed, reading_call
from tests.factories.driver import Execution, execute, program

SECRET = {"key": "s3cret-value"}


def asked(execution: Execution) -> CallAction:
    [command] = [each for each in execution.commands if isinstance(each, CallAction)]
    return command


def filled(loaded: Program, command: CallAction, meter: Meter | None = None) -> Json:
    call = reading_call(loaded, command)
    assert isinstance(call, Call)
    assert call.secrets == {"key"}
    return completed(call, command, SECRET, meter or Meter())


def run(arguments: str, data: Json) -> Execution:
    return execute(f"- ask: {{call: look, with: {{id: {arguments}}}}}", data, {"ask": {"n": 1}})


def test_the_command_holds_the_text_and_what_it_reads_besides() -> None:
    execution = run(
        "{a: 'Bearer ${ $secrets.key } ${ .who }', b: '${ .who }', c: ['${ $secrets.key }']}", {"who": "ada"}
    )
    command = asked(execution)
    assert command.arguments == {
        "id": {"a": "Bearer ${ $secrets.key } ${ .who }", "b": "ada", "c": ["${ $secrets.key }"]}
    }
    assert command.withheld is not None
    assert (command.withheld.value, command.withheld.scope) == ({"who": "ada"}, {})
    assert filled(execution.program, command) == {
        "id": {"a": "Bearer s3cret-value ada", "b": "ada", "c": ["s3cret-value"]}
    }
    assert command.arguments["id"]["c"] == ["${ $secrets.key }"], "the command itself is left as it was"
    [record] = execution.records.values()
    assert record.input == command.arguments


def test_data_that_an_expression_cannot_read_does_not_travel() -> None:
    command = asked(run("'${ \"Bearer \" + $secrets.key + $context.x }'", {"large": "x" * 100_000}))
    assert command.withheld is not None
    assert command.withheld.value is None
    assert set(command.withheld.scope) == {"context"}


def test_data_cannot_ask_for_a_secret() -> None:
    forged = "${ $secrets.key } $secrets.key [secret key]"
    execution = run(
        "{a: '${ .note }', b: '${ $secrets.key }', c: 'x ${ .note + $secrets.key }'}", {"note": forged}
    )
    assert filled(execution.program, asked(execution)) == {
        "id": {"a": forged, "b": "s3cret-value", "c": f"x {forged}s3cret-value"}
    }


def test_what_would_travel_is_bounded() -> None:
    data = {"large": "x" * 131_058}  # just within what a value may be
    assert run("'${ .large + $secrets.key }'", data).error["status"] == 413
    assert run("'${ $secrets.key }'", data).finish is not None


def test_completing_is_paid_for() -> None:
    execution = run("'${ [range(100000)] | length | tostring + $secrets.key }'", {})
    meter = Meter(1_000)
    with pytest.raises(FuelExhausted):
        filled(execution.program, asked(execution), meter)
    assert meter.spent >= 1_000


def test_other_calls_carry_nothing_of_it() -> None:
    execution = run("'${ .who }'", {"who": "ada"})
    assert asked(execution).withheld is None
    assert reading_call(execution.program, asked(execution)) is None


def test_a_task_for_a_person_never_learns_a_secret() -> None:
    with pytest.raises(Exception, match="1 problem"):
        program("- ask: {call: approve, with: {title: '${ $secrets.key }'}}")

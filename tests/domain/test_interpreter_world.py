"""What the interpreter asks of the world: calls, endpoints, waits."""

from typing import Any

import pytest

from domain.actions import Effect, Lane
from domain.definitions.commands import (
    AwaitEvents,
    CallAction,
    Completed,
    Resume,
    Shaping,
    Sleep,
)
from domain.definitions.faults import Fault
from tests.factories.driver import (
    NEW_YEAR,
    Execution,
    execute,
    program,
)


def asked(run: Execution) -> list[CallAction]:
    return [command for command in run.commands if isinstance(command, CallAction)]


# Calls


def test_a_call_becomes_a_command_with_its_arguments_filled_in() -> None:
    run = execute(
        """
- see:
    input: {from: .who}
    call: look
    with: {text: "Hello ${ .name }, ${ $context.n } ${ .none }!", whole: "${ [.name] }", plain: {deep: [1, text]}}
""",
        {"who": {"name": "Ada"}},
        {"see": {"ok": True}},
        variables={"n": {"default": {"a": 1}}},
    )
    assert asked(run) == [
        CallAction(
            occurrence="/do/0/see#1",
            name="see",
            action="look",
            version="1.0.0",
            lane=Lane.ACTIVITY,
            effect=Effect.IDEMPOTENT,
            timeout_ms=30_000,
            arguments={"text": 'Hello Ada, {"a":1} !', "whole": ["Ada"], "plain": {"deep": [1, "text"]}},
        )
    ]
    assert run.output == {"ok": True}
    [begun, done] = run.told
    assert (begun.status, begun.completed, begun.input) == ("running", None, asked(run)[0].arguments)
    assert (done.status, done.output, done.started, done.completed) == (
        "completed",
        {"ok": True},
        NEW_YEAR,
        NEW_YEAR + 1000,
    )
    assert (done.kind, done.action) == ("call", "look")


@pytest.mark.parametrize("answer", [{"ok": True}, Fault("runtime", 500, "No")])
def test_the_record_that_stays_still_tells_the_arguments(answer: Any) -> None:
    run = execute("[{see: {call: look, with: {a: 1}}}, {plain: {set: {b: 1}}}]", None, {"see": answer})
    see, *others = run.records.values()
    assert see.status in ("completed", "failed")
    assert see.input == {"a": 1}
    assert all(each.input is None for each in others)


def test_a_step_repeated_in_a_loop_has_a_key_for_each_occurrence() -> None:
    run = execute(
        "[{l: {for: {in: '[1,2]'}, do: [{c: {call: look}}]}}, {again: {switch: [{x: {when: .n == 2, then: l}}]}}]",
        None,
        {"c": [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]},
    )
    assert [command.occurrence for command in asked(run)] == [f"/do/0/l/do/0/c#{n}" for n in (1, 2, 3, 4)]
    assert [each.occurrence for each in run.records.values() if each.name == "l"] == [
        "/do/0/l#1",
        "/do/0/l#2",
    ]


def test_a_task_for_a_person_waits() -> None:
    run = Execution(program("[{ok: {call: approve, with: {title: x}}}]"))
    [command] = run.take(Resume(NEW_YEAR))
    assert isinstance(command, CallAction)
    assert command.lane is Lane.TASK
    assert run.told[-1].status == "waiting"


@pytest.mark.parametrize("shaping", [True, False])
def test_an_activity_may_shape_the_output_itself_with_the_same_result(shaping: bool) -> None:
    run = execute(
        """
- see:
    input: {from: .a}
    call: look
    output: {as: "{n, was: $input.x, task: ($task.output.n + 1), context: $context}"}
    export: {as: ". + {out: $output.n, id: $workflow.id}"}
- tell: {set: "{data: ., context: $context}"}
""",
        {"a": {"x": 7}},
        {"see": {"n": 1}},
        shaping=shaping,
    )
    data = {"n": 1, "was": 7, "task": 2, "context": {}}
    assert run.output == {"data": data, "context": {**data, "out": 1, "id": "e-1"}}
    shaped = asked(run)[0].shaping
    assert isinstance(shaped, Shaping)
    assert shaped.step == "/do/0/see"
    assert shaped.scope.keys() == {"input", "task", "context", "workflow"}


def test_short_built_ins_and_plain_outputs_need_no_shaping_elsewhere() -> None:
    run = execute(
        "[{a: {call: quick, output: {as: .n}}}, {b: {call: look, output: {schema: {document: {}}}}}]",
        None,
        {"a": {"n": 1}, "b": 2},
    )
    assert [command.shaping for command in asked(run)] == [None, None]
    assert run.output == 2


def test_what_shaping_reads_does_not_travel_when_it_is_large() -> None:
    big = "x" * 120_000
    run = execute(
        "[{a: {call: look, output: {as: '[$context.x, $input, $workflow.input] | map(length)'}}}]",
        big,
        {"a": 1},
        variables={"x": {"default": big}},
    )
    assert asked(run)[0].shaping is None
    assert run.output == [120_000] * 3


def test_an_expression_failing_in_an_activity_is_the_same_fault() -> None:
    errors = [
        execute("[{a: {call: look, output: {as: .x.y}}}]", None, {"a": 1}, shaping=shaping).error
        for shaping in (True, False)
    ]
    assert errors[0] == errors[1]
    assert errors[0]["instance"] == "/do/0/a"


# `call: http`


def test_the_names_of_an_endpoint_read_top_level_fields_of_the_input() -> None:
    run = execute(
        """
- get:
    input: {from: .pet}
    call: http
    with: {method: get, endpoint: {uri: "https://example.org/{id}/{none}?q={name}"}}
""",
        {"pet": {"id": 7, "name": "a b", "other": 1}},
        {"get": {}},
    )
    [command] = asked(run)
    assert command.action == "http.request"
    assert command.arguments == {
        "method": "get",
        "endpoint": {"uri": "https://example.org/{id}/{none}?q={name}"},
        "variables": {"id": 7, "name": "a b"},
    }


@pytest.mark.parametrize("input", [{"other": 1}, [1], None])
def test_without_such_fields_nothing_is_added(input: Any) -> None:
    definition = "[{get: {call: http, with: {method: get, endpoint: 'https://example.org/{id}'}}}]"
    assert asked(execute(definition, input, {"get": 1}))[0].arguments == {
        "method": "get",
        "endpoint": "https://example.org/{id}",
    }


def test_braces_that_arrive_with_data_choose_nothing() -> None:
    run = execute(
        """[{get: {call: http, with: {method: get, endpoint: "https://${ .host }/{id}"}}}]""",
        {"host": "example.org/{secret}", "secret": "s", "id": 1},
        {"get": 1},
    )
    assert asked(run)[0].arguments["variables"] == {"id": 1}  # type: ignore[index, call-overload]


def test_the_variables_of_an_endpoint_count_as_arguments() -> None:
    text = "x" * 70_000
    run = execute(
        [
            {
                "get": {
                    "call": "http",
                    "with": {"method": "post", "endpoint": "https://e.org/{v}", "body": "${ .v }"},
                }
            }
        ],
        {"v": text},
    )
    assert run.error["title"] == "Value too large"


# Waiting


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [({"minutes": 1, "seconds": 30}, 90), ("PT1.5S", 1.5), ("2 hours", 7200), ("${ .d }", 3), ("PT0S", 0)],
)
def test_a_wait_ends_at_a_moment_and_passes_its_input_on(wait: Any, seconds: float) -> None:
    run = Execution(program([{"w": {"wait": wait}}]), {"d": "PT3S"}).run()
    assert run.commands[0] == Sleep("/do/0/w#1", "w", NEW_YEAR + int(seconds * 1000))
    assert run.output == {"d": "PT3S"}
    assert [each.status for each in run.told] == ["waiting", "completed"]


@pytest.mark.parametrize("value", [5, None, "soon", {"months": 1}, "-PT1S", [], "P400D"])
def test_what_is_no_duration_is_a_fault(value: Any) -> None:
    run = execute([{"w": {"wait": "${ .d }"}}], {"d": value})
    assert (run.error["title"], run.error["instance"]) == ("Not a duration", "/do/0/w")


def test_what_a_timer_brings_along_is_not_the_output_of_the_wait() -> None:
    run = Execution(program("[{w: {wait: PT1S}}]"), {"a": 1})
    [sleep] = run.take(Resume(NEW_YEAR))
    assert isinstance(sleep, Sleep)
    run.take(Completed(sleep.until, sleep.occurrence, "anything"))
    assert run.output == {"a": 1}


# Events


def test_listening_asks_for_the_next_event_of_a_type_and_gives_a_list() -> None:
    run = execute(
        "[{hear: {listen: {to: {one: {with: {type: paid}}}}}}, {use: {set: {amount: '${ .[0].amount }'}}}]",
        None,
        {"hear": {"amount": 7}},
    )
    assert run.commands[0] == AwaitEvents("/do/0/hear#1", "hear", ["paid"])
    assert run.output == {"amount": 7}
    waiting, heard = [record for record in run.told if record.name == "hear"]
    assert (waiting.status, waiting.input) == ("waiting", {"type": "paid"})
    assert heard.input == {"type": "paid", "consumed": 1}
    assert (heard.status, heard.output) == ("completed", [{"amount": 7}])


def test_an_event_can_be_read_with_its_envelope() -> None:
    run = execute(
        "[{hear: {listen: {to: {one: {with: {type: paid}}}, read: envelope}, output: {as: '.[0]'}}}]",
        None,
        {"hear": "much"},
    )
    assert run.output == {"specversion": "1.0", "type": "paid", "data": "much"}


def test_the_event_that_was_heard_stays_in_the_log_however_large() -> None:
    large = "x" * 10_000
    run = execute("[{hear: {listen: {to: {one: {with: {type: paid}}}}}}]", None, {"hear": large})
    assert run.records["/do/0/hear#1"].output == [large]

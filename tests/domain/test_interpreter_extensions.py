"""Lists of steps around other steps: what they see, what they change, and how they skip a step."""

from typing import Any

import pytest

from domain.definitions.commands import CallAction
from domain.definitions.faults import Fault
from tests.factories.driver import Execution, Slow, execute


def around(
    extensions: list[Any], steps: Any, data: Any = None, replies: Any = None, **more: Any
) -> Execution:
    use = {"extensions": [{f"e{index}": each} for index, each in enumerate(extensions)]}
    return execute(steps, data, replies, use=use, **more)


def asked(run: Execution) -> list[Any]:
    return [each.arguments for each in run.commands if isinstance(each, CallAction)]


def log(text: str) -> list[Any]:
    return [{"log": {"call": "quick", "with": {"text": text}}}]


LOGGING = {
    "extend": "all",
    "before": log("${ $task.reference }: ${ . }"),
    "after": log("${ $task.name } gave ${ . }"),
}


def test_steps_are_told_before_and_after_and_keep_their_data() -> None:
    run = around(
        [LOGGING],
        "[{a: {set: {n: '${ .n + 1 }'}}}, {b: {do: [{c: {set: {n: '${ .n * 2 }'}}}]}}]",
        {"n": 1},
        {"log": [0] * 6},
    )
    assert run.output == {"n": 4}
    assert [each["text"] for each in asked(run)] == [
        '/do/0/a: {"n":1}',
        'a gave {"n":2}',
        '/do/1/b: {"n":2}',
        '/do/1/b/do/0/c: {"n":2}',
        'c gave {"n":4}',
        'b gave {"n":4}',
    ]
    assert [each for each in run.records if "log" in each] == [
        f"/use/extensions/0/e0/{part}/0/log#{n}"
        for part, n in [("before", 1), ("after", 1), ("before", 2), ("before", 3), ("after", 2), ("after", 3)]
    ]
    assert run.records["/do/1/b#1"].status == "completed"


@pytest.mark.parametrize(
    ("extend", "names"),
    [
        ("set", ["a", "c"]),
        ("composite", ["b", "f"]),
        ("for", ["l"]),
        ("wait", ["w"]),
        ("call", ["k"]),
        ("all", ["a", "b", "c", "f", "w", "k", "l", "s"]),
    ],
)
def test_an_extension_stands_around_the_steps_of_its_kind(extend: str, names: list[str]) -> None:
    definition = """
- a: {set: {n: 1}}
- b: {do: [{c: {set: {n: 1}}}]}
- f: {fork: {branches: [{w: {wait: PT1S}}, {k: {call: look}}]}}
- l: {for: {in: "[1]"}, do: [{s: {switch: [{d: {then: continue}}]}}]}
"""
    run = around(
        [{"extend": extend, "before": log("${ $task.name }")}], definition, None, {"log": [0] * 9, "k": 1}
    )
    assert [each["text"] for each in asked(run) if "text" in each] == names


def test_the_first_extension_stands_outermost() -> None:
    def mark(n: int) -> Any:
        return {"extend": "set", "before": log(f"before {n}"), "after": log(f"after {n}")}

    run = around([mark(1), {"extend": "set"}, mark(2)], "[{a: {set: {n: 1}}}]", None, {"log": [0] * 4})
    assert [each["text"] for each in asked(run)] == ["before 1", "before 2", "after 2", "after 1"]


def test_whether_an_extension_applies_is_asked_of_the_step_it_would_extend() -> None:
    mocked = {
        "extend": "call",
        "when": '$task.call == "look" and ($task.with.url | startswith("https://mock")) and .mock',
        "before": [{"mock": {"set": {"status": 200}, "then": "exit"}}],
    }
    call = {"call": "look", "input": {"from": "{mock: true}"}}
    run = around(
        [mocked],
        [
            {"a": {**call, "with": {"url": "https://mock.example.org"}, "output": {"as": ".status + 1"}}},
            {"b": {**call, "with": {"url": "https://real.example.org"}, "export": {"as": "$input"}}},
        ],
        None,
        {"b": {"status": 500}},
    )
    assert run.output == {"status": 500}
    assert run.path == ["a", "mock", "b"]
    assert run.records["/do/0/a#1"].output == 201, (
        "what stands for the output is shaped as the output would be"
    )


def test_exit_skips_what_is_inside_its_extension_and_what_stands_around_it_goes_on() -> None:
    inner = {
        "extend": "call",
        "before": [{"mock": {"set": {"id": 7}, "then": "exit"}}],
        "after": log("never"),
    }
    last = {"extend": "call", "before": log("never"), "after": log("never")}
    run = around([LOGGING, inner, last], "[{a: {call: look}}]", None, {"log": [0, 0]})
    assert [each["text"] for each in asked(run)] == ["/do/0/a: ", 'a gave {"id":7}']
    assert run.output == {"id": 7}


def test_an_exit_deeper_inside_ends_only_its_own_list() -> None:
    before = [
        {
            "block": {
                "do": [
                    {"leave": {"if": ". == null", "set": {"x": 1}, "then": "exit"}},
                    {"n": {"set": {"y": 1}}},
                ]
            }
        }
    ]
    run = around([{"extend": "call", "before": before}], "[{a: {call: look}}]", None, {"a": "real"})
    assert run.output == "real"
    assert run.path == ["a", "block", "leave"]


def test_an_extension_stands_around_the_call_of_a_function_not_around_its_steps() -> None:
    """It may call that function itself."""
    extension = {
        "e": {"extend": "all", "before": [{"tell": {"call": "note", "with": {"text": "${ $task.name }"}}}]}
    }
    use = {
        "functions": {"note": {"call": "quick", "with": {"text": "${ .text }"}}},
        "extensions": [extension],
    }
    run = execute("[{a: {call: note, with: {text: own}}}]", None, {"note": [0] * 9}, use=use)
    assert [each["text"] for each in asked(run)] == ["a", "own"]
    assert run.path == ["a", "tell", "note", "note"]


def test_a_skipped_step_is_not_extended() -> None:
    run = around([LOGGING], "[{a: {if: 'false', set: {n: 1}}}]")
    assert asked(run) == []


def test_the_context_can_be_changed_around_a_step() -> None:
    extension = {
        "extend": "set",
        "before": [{"b": {"wait": "PT1S", "export": {"as": "$context + {before: $task.name}"}}}],
        "after": [{"c": {"wait": "PT1S", "export": {"as": "$context + {after: $task.output.n}"}}}],
    }
    run = around(
        [extension],
        """
- a: {set: {n: 4, seen: "${ $context.before }"}, output: {as: "{n}"}}
- z: {switch: [{d: {then: continue}}], output: {as: $context}}
""",
    )
    assert run.output == {"before": "a", "after": 4}


def test_then_is_followed_after_everything() -> None:
    run = around(
        [LOGGING],
        "[{a: {switch: [{d: {when: 'true', then: c}}]}}, {b: {wait: PT1S}}, {c: {wait: PT1S}}]",
        1,
        {"log": [0] * 4},
    )
    assert [each["text"] for each in asked(run)] == ["/do/0/a: 1", "a gave 1", "/do/2/c: 1", "c gave 1"]


def test_what_fails_around_a_step_fails_the_step() -> None:
    run = around(
        [{"extend": "wait", "after": [{"x": {"set": "${ error }"}}]}],
        "[{t: {try: [{a: {wait: PT1S}}], catch: {do: [{h: {set: '${ $error.instance }'}}]}}}]",
    )
    assert run.output == "/use/extensions/0/e0/after/0/x"
    assert run.records["/do/0/t/try/0/a#1"].status == "failed"


def test_a_step_that_fails_is_not_followed_by_what_comes_after_it() -> None:
    run = around([LOGGING], "[{a: {call: look}}]", None, {"log": [0], "a": Fault("runtime", 500, "No")})
    assert run.error["instance"] == "/do/0/a"
    assert len(asked(run)) == 2


def test_the_timeout_of_a_step_covers_what_stands_around_it() -> None:
    run = around(
        [{"extend": "set", "before": [{"slow": {"call": "look"}}]}],
        "[{a: {set: {n: 1}, timeout: {after: PT2S}}}]",
        None,
        {"slow": Slow(9000)},
    )
    assert (run.error["status"], run.error["instance"]) == (408, "/do/0/a")


def test_a_loop_around_which_something_stands_keeps_its_rounds() -> None:
    run = around(
        [{"extend": "for", "before": log("b"), "after": log("a")}],
        "[{l: {for: {in: '[1, 2]'}, do: [{s: {set: {n: '${ (.n // 0) + $item }'}}}]}}]",
        None,
        {"log": [0, 0]},
    )
    assert run.output == {"n": 3}

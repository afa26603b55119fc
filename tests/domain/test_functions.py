"""Functions: called, given their arguments, never in a circle; kept elsewhere, they are frozen with the version."""

from typing import Any

import pytest

from domain.definitions.functions import (
    MAX_ADDRESS,
    Fetched,
    address_of,
    addresses,
    is_elsewhere,
    key_of,
    name_of,
    raw,
    read,
)
from domain.definitions.program import load_program
from domain.definitions.publishing import Published, publish
from domain.definitions.validation import Elsewhere, check, validate
from domain.errors import Invalid
from tests.factories.driver import ACTIONS, Execution, execute

DOUBLE = {
    "input": {
        "schema": {
            "document": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
        }
    },
    "set": {"n": "${ .n * 2 }"},
    "output": {"as": ".n"},
}


def _use(**functions: Any) -> dict[str, Any]:
    return {"functions": functions}


def problems(do: list[Any], **parts: Any) -> dict[str, str]:
    """Messages by code and place."""
    found = validate({"do": do, **parts}, catalogue=ACTIONS)
    return {f"{each.code} {each.pointer}": each.message for each in found}


# Calling


def test_a_function_is_given_its_arguments_and_answers_its_output() -> None:
    run = execute(
        '- go: {call: double, with: {n: "${ .x + 1 }"}, output: {as: "{got: .}"}}',
        {"x": 4},
        use=_use(double=DOUBLE),
    )
    assert run.output == {"got": 10}
    calling, inside = run.records.values()
    assert (calling.pointer, calling.kind, calling.input) == ("/do/0/go", "call", {"n": 5})
    assert (inside.pointer, inside.name, inside.kind) == ("/use/functions/double", "double", "set")


def test_without_arguments_a_function_is_given_the_steps_input() -> None:
    run = execute("- go: {call: double, input: {from: .a}}", {"a": {"n": 3}}, use=_use(double=DOUBLE))
    assert run.output == 6


def test_arguments_may_be_texts_with_expressions_in_them() -> None:
    run = execute(
        '- go: {call: greet, with: {text: "Hello ${ .name }"}}',
        {"name": "Ada"},
        use=_use(greet={"set": "${ .text }"}),
    )
    assert run.output == "Hello Ada"


def test_what_does_not_fit_a_functions_schema_fails_in_the_function() -> None:
    run = execute('- go: {call: double, with: {n: "${ .x }"}}', {"x": "text"}, use=_use(double=DOUBLE))
    assert (run.error["instance"], run.error["status"]) == ("/use/functions/double", 400)


def test_functions_call_actions_and_each_other_and_are_entered_anew_each_time() -> None:
    use = _use(
        fetch={"call": "look", "with": {"id": "${ .id }"}, "output": {"as": ".v"}},
        both={
            "do": [
                {"one": {"call": "fetch", "with": {"id": 1}, "export": {"as": "{one: .}"}}},
                {"two": {"call": "fetch", "with": {"id": 2}, "output": {"as": "[$context.one, .]"}}},
            ]
        },
    )
    asked: list[Any] = []

    def answer(arguments: Any) -> Any:
        asked.append(arguments)
        return {"v": arguments["id"] * 10}

    run = execute("- go: {call: both}", {}, {"fetch": answer}, use=use)
    assert run.output == [10, 20]
    assert asked == [{"id": 1}, {"id": 2}]
    occurrences = [record.occurrence for record in run.records.values()]
    assert [each for each in occurrences if "fetch" in each] == [
        "/use/functions/fetch#1",
        "/use/functions/fetch#2",
    ]


def test_a_fault_inside_a_function_can_be_caught_where_it_is_called() -> None:
    steps = [
        {
            "go": {
                "try": [{"call": {"call": "bad"}}],
                "catch": {"do": [{"mend": {"set": "${ $error.instance }"}}]},
            }
        }
    ]
    run = execute(steps, {}, use=_use(bad={"do": [{"fails": {"set": '${ error("x") }'}}]}))
    assert run.output == "/use/functions/bad/do/0/fails"


def test_a_functions_variables_are_its_own() -> None:
    """Loop variables of the caller are not seen: a function means the same wherever it is called."""
    found = problems(
        [{"each": {"for": {"in": "[1]", "each": "x"}, "do": [{"go": {"call": "f"}}]}}],
        use=_use(f={"set": "${ $x }"}),
    )
    assert "unknown_variable /use/functions/f/set" in found


# Validation


@pytest.mark.parametrize(
    ("functions", "way"),
    [
        ({"a": {"call": "a"}}, "`a` → `a`"),
        (
            {"a": {"call": "b"}, "b": {"do": [{"x": {"call": "c"}}]}, "c": {"call": "a"}},
            "`a` → `b` → `c` → `a`",
        ),
        ({"x": {"call": "a"}, "a": {"try": [{"y": {"call": "a"}}], "catch": {}}}, "`a` → `a`"),
    ],
)
def test_a_circle_of_functions_is_refused(functions: dict[str, Any], way: str) -> None:
    found = problems([{"go": {"call": next(iter(functions))}}], use=_use(**functions))
    [(place, message)] = [each for each in found.items() if each[0].startswith("recursive_function")]
    assert place == "recursive_function /use/functions/a"
    assert way in message


def test_functions_that_share_another_one_are_no_circle() -> None:
    functions = {
        "a": {"do": [{"x": {"call": "c"}}, {"y": {"call": "b"}}]},
        "b": {"call": "c"},
        "c": {"set": {"z": 1}},
    }
    assert problems([{"go": {"call": "a"}}], use=_use(**functions)) == {}


def test_literal_arguments_are_held_against_the_functions_schema() -> None:
    found = problems([{"go": {"call": "double", "with": {"n": "x"}}}], use=_use(double=DOUBLE))
    assert list(found) == ["bad_argument /do/0/go/with/n"]
    assert problems([{"go": {"call": "double", "with": {"n": "${ .x }"}}}], use=_use(double=DOUBLE)) == {}


def test_mistakes_in_functions_are_told_where_they_stand() -> None:
    use = _use(http={"set": {"a": 1}}, f={"call": "lok"}, g={"set": {"a": "${ . | }"}, "then": "go"})
    found = problems([{"go": {"call": "f"}}, {"on": {"call": "gg"}}], use=use)
    assert found["reserved_name /use/functions/http"]
    assert found["unknown_action /use/functions/f/call"]
    assert found["bad_expression /use/functions/g/set/a"]
    assert found["unknown_target /use/functions/g/then"]
    assert "no action `gg`" in found["unknown_action /do/1/on/call"]


def test_secrets_do_not_travel_as_arguments_of_functions() -> None:
    found = problems(
        [{"go": {"call": "f", "with": {"k": "${ $secrets.key }"}}}], use=_use(f={"set": {"a": 1}})
    )
    assert list(found) == ["secret_not_here /do/0/go/with/k"]


@pytest.mark.parametrize("protocol", ["grpc", "asyncapi", "a2a", "mcp"])
def test_calls_of_the_dsl_that_do_not_run_say_what_to_do_instead(protocol: str) -> None:
    [problem] = validate({"do": [{"go": {"call": protocol, "with": {}}}]}, catalogue=ACTIONS)
    assert (problem.code, problem.pointer) == ("not_supported", "/do/0/go/call")
    assert problem.suggestion


def test_mcp_over_stdio_is_refused_with_the_reason() -> None:
    arguments = {"transport": {"stdio": {"command": "sh"}}}
    [problem] = validate({"do": [{"go": {"call": "mcp", "with": arguments}}]}, catalogue=ACTIONS)
    assert problem.code == "refused"
    assert "share" in problem.message


# run


@pytest.mark.parametrize("process", ["shell", "script", "container"])
def test_processes_are_refused_with_the_reason(process: str) -> None:
    found = problems([{"go": {"run": {process: {"command": "ls"}}}}])
    assert list(found) == [f"refused /do/0/go/run/{process}"]
    assert "all organizations share" in found[f"refused /do/0/go/run/{process}"]


SOUND = {"namespace": "acme", "name": "sub", "version": "1.0.0"}


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ({"workflow": SOUND}, []),
        ({"workflow": {**SOUND, "version": "latest", "input": {"a": "${ .b }"}}, "await": False}, []),
        ({"workflow": {**SOUND, "name": "${ .which }"}}, []),
        ({}, ["missing_field /do/0/go/run"]),
        ({"workflow": {}}, ["missing_field /do/0/go/run/workflow"]),
        ({"workflow": {**SOUND, "name": "a b"}}, ["bad_name /do/0/go/run/workflow/name"]),
        ({"workflow": {**SOUND, "version": "1"}}, ["bad_version /do/0/go/run/workflow/version"]),
        ({"workflow": {**SOUND, "name": 3}}, ["wrong_type /do/0/go/run/workflow/name"]),
        ({"workflow": {**SOUND, "inputs": {}}}, ["unknown_field /do/0/go/run/workflow/inputs"]),
        ({"workflow": SOUND, "await": "no"}, ["wrong_type /do/0/go/run/await"]),
        ({"workflow": SOUND, "return": "stdout"}, ["not_for_workflows /do/0/go/run/return"]),
        ({"workflow": SOUND, "return": "x"}, ["bad_value /do/0/go/run/return"]),
        ({"workflow": {**SOUND, "input": "${ . | }"}}, ["bad_expression /do/0/go/run/workflow/input"]),
        (
            {"workflow": {**SOUND, "input": "${ $secrets.a }"}},
            ["secret_not_here /do/0/go/run/workflow/input"],
        ),
        ([], ["wrong_type /do/0/go/run"]),
    ],
)
def test_run_workflow_is_checked(run: Any, expected: list[str]) -> None:
    assert list(problems([{"go": {"run": run}}])) == expected


# Kept elsewhere

GIVES = "https://example.org/functions/double/1.0.0/function.yaml"
CATALOG = {"catalogs": {"ours": {"endpoint": {"uri": "https://example.org"}}}}


def _text(text: str) -> Fetched:
    return read(text.encode())


def _published(do: list[Any], fetched: dict[str, Fetched], **parts: Any) -> Published:
    return publish({"do": do, **parts}, name="t", namespace="n", catalogue=ACTIONS, functions=fetched)


@pytest.mark.parametrize(
    ("call", "address"),
    [
        ("double:1.0.0@ours", "https://example.org/functions/double/1.0.0/function.yaml"),
        ("log:1.0.0@hub", "https://raw.githubusercontent.com/o/r/HEAD/functions/log/1.0.0/function.yaml"),
        (
            "log:1.0.0@branch",
            "https://raw.githubusercontent.com/o/r/main/sub/functions/log/1.0.0/function.yaml",
        ),
        ("https://github.com/o/r/blob/v1/f.yaml", "https://raw.githubusercontent.com/o/r/v1/f.yaml"),
        (
            "https://github.com/o/r/check@v1.0.0",
            "https://raw.githubusercontent.com/o/r/v1.0.0/check/function.yaml",
        ),
        ("https://gitlab.com/a/b/-/blob/main/f.yaml", "https://gitlab.com/a/b/-/raw/main/f.yaml"),
        ("https://example.org/f.yaml?v=1#part", "https://example.org/f.yaml?v=1"),
    ],
)
def test_where_a_function_is_found(call: str, address: str) -> None:
    catalogs = {
        "ours": "https://example.org",
        "hub": "https://github.com/o/r",
        "branch": "https://github.com/o/r/tree/main/sub",
    }
    assert is_elsewhere(call, catalogs)
    assert address_of(call, catalogs) == address


def test_the_default_catalogue_is_that_of_actions_unless_it_is_declared() -> None:
    assert not is_elsewhere("look:1.0.0@default", {})
    assert is_elsewhere("look:1.0.0@default", {"default": "https://example.org"})
    assert problems([{"go": {"call": "look:1.0.0@default"}}]) == {}


def test_validation_alone_accepts_what_it_cannot_see() -> None:
    do = [{"go": {"call": "double:1.0.0@ours", "with": {"n": 1}}}]
    [problem] = validate({"do": do, "use": CATALOG}, catalogue=ACTIONS)
    assert (problem.severity, problem.code, problem.pointer) == ("warning", "fetched_later", "/do/0/go/call")
    with pytest.raises(Invalid):
        publish({"do": do, "use": CATALOG}, name="t", namespace="n", catalogue=ACTIONS)


def test_a_function_is_frozen_with_its_address_and_digest_and_runs() -> None:
    text = (
        "input: {schema: {document: {required: [n]}}}\n"
        "do: [{ask: {call: look, with: {id: '${ .n }'}}}, {w: {wait: 1 s}}]\n"
    )
    do = [
        {"go": {"call": "double:1.0.0@ours", "with": {"n": 21}}},
        {"again": {"call": GIVES, "with": {"n": "${ .v }"}}},
    ]
    assert addresses({"do": do, "use": CATALOG}) == [GIVES]
    published = _published(do, {GIVES: _text(text)}, use=CATALOG)
    key = key_of(GIVES)
    [frozen] = published.compiled["functions"].values()
    assert published.compiled["references"] == {"double:1.0.0@ours": key, GIVES: key}
    assert (frozen["name"], frozen["address"], frozen["sha256"]) == ("double", GIVES, _text(text).sha256)
    assert frozen["definition"]["do"][1] == {"w": {"wait": "PT1S"}}
    assert published.warnings == ()
    run = Execution(load_program(published.compiled), {}, {"ask": lambda given: {"v": given["id"] + 1}}).run()
    assert run.output == {"v": 23}
    assert [record.pointer for record in run.records.values()][1] == f"/use/functions/{key}"
    changed = _published(do, {GIVES: _text(text + "# more\n")}, use=CATALOG)
    assert changed.sha256 != published.sha256


def test_functions_from_elsewhere_call_others_but_not_what_the_definition_declares() -> None:
    inner = "https://example.org/inner.json"
    outer = _text(f"do: [{{a: {{call: '{inner}', with: {{x: 2}}}}}}, {{b: {{call: look}}}}]")
    published = _published(
        [{"go": {"call": GIVES}}], {GIVES: outer, inner: _text('{"set": {"y": "${ .x }"}}')}
    )
    assert set(published.compiled["functions"]) == {key_of(GIVES), key_of(inner)}
    run = Execution(load_program(published.compiled), {}, {"b": {"done": True}}).run()
    assert run.output == {"done": True}
    found = _refused("do: [{a: {call: mine}}]", use=_use(mine={"set": {"a": 1}}))
    assert "no action `mine`" in found


def _refused(text: str, **parts: Any) -> str:
    with pytest.raises(Invalid) as refusal:
        _published([{"go": {"call": GIVES}}], {GIVES: _text(text)}, **parts)
    [problem] = [each for each in refusal.value.problems if each.severity == "error"]
    assert (problem.pointer, problem.code) == ("/do/0/go/call", "unusable_function")
    assert GIVES in problem.message
    return problem.message


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("run: {script: {language: js, code: x}}", "/run/script: `run: script` is refused"),
        (
            "call: http\nwith: {method: get, endpoint: https://x.org, body: '${ $secrets.key }'}",
            "reads secrets",
        ),
        ("set: {a: '${ $steps.go }'}", "reads `$steps`"),
        ("[1, 2]", "holds no object"),
        ("a: [", "neither YAML nor JSON (line 1"),
        ("sett: {}", "/sett: `sett` is not a keyword"),
        (f"call: '{GIVES}'", "calls itself"),
        ("call: lok", "no action `lok`"),
    ],
)
def test_what_cannot_be_used_is_told_at_the_call(text: str, why: str) -> None:
    assert why in _refused(text)


def test_a_text_that_is_none_and_an_address_that_is_none() -> None:
    assert read(b"\xff").problem == "it is not UTF-8 text"
    found = problems([{"a": {"call": "file:///etc/passwd"}}, {"b": {"call": "ftp://x.org/f"}}])
    assert found["refused /do/0/a/call"]
    assert found["bad_address /do/1/b/call"]
    long = "https://x.org/" + "x" * MAX_ADDRESS
    assert "bad_address /do/0/a/call" in problems([{"a": {"call": long}}])
    assert addresses({"do": [{"a": {"call": long}}, {"b": {"call": "ftp://x.org/f"}}]}) == []


@pytest.mark.parametrize(
    "address", ["https://[", "https://[x]/f", "http://a\u2100b/f", "https://", "https:///f"]
)
def test_an_address_without_a_readable_host_is_told_and_never_fetched(address: str) -> None:
    do = [{"a": {"call": address}}, {"b": {"call": "f:1.0.0@c"}}]
    use = {"catalogs": {"c": {"endpoint": address}}}
    found = problems(do, use=use)
    assert {"bad_address /do/0/a/call", "bad_address /use/catalogs/c/endpoint"} <= found.keys()
    assert addresses({"do": do, "use": use}) == []


def test_functions_call_each_other_only_so_deep() -> None:
    chain = {f"https://x.org/{n}": _text(f"call: 'https://x.org/{n + 1}'") for n in range(8)}
    checked = check(
        {"do": [{"go": {"call": "https://x.org/0"}}]}, catalogue=ACTIONS, functions=Elsewhere(chain)
    )
    [problem] = checked.errors
    assert "more than 5 deep" in problem.message


def test_together_they_are_bounded() -> None:
    large = _text("set: {a: '" + "x" * 60_000 + "'}")
    do = [{f"s{n}": {"call": f"https://x.org/{n}"}} for n in range(5)]
    with pytest.raises(Invalid, match="larger than 256 KB"):
        _published(do, {f"https://x.org/{n}": large for n in range(5)})


@pytest.mark.parametrize(
    ("catalog", "expected"),
    [
        ({"endpoint": "https://example.org/root"}, None),
        ({"endpoint": {"uri": "https://example.org/root"}}, None),
        ({}, "missing_field /use/catalogs/c"),
        ({"endpoint": "file:///etc"}, "refused /use/catalogs/c/endpoint"),
        ({"endpoint": "${ .x }"}, "bad_address /use/catalogs/c/endpoint"),
        ({"endpoint": {"uri": "https://{host}/"}}, "bad_address /use/catalogs/c/endpoint/uri"),
        (
            {"endpoint": {"uri": "https://x.org", "authentication": {}}},
            "not_supported /use/catalogs/c/endpoint/authentication",
        ),
        ({"endpoint": "https://x.org", "name": "x"}, "unknown_field /use/catalogs/c/name"),
        ([], "wrong_type /use/catalogs/c"),
    ],
)
def test_catalogs_are_checked(catalog: Any, expected: str | None) -> None:
    found = problems([{"a": {"set": {"b": 1}}}], use={"catalogs": {"c": catalog}})
    assert list(found) == ([] if expected is None else [expected])


def test_an_unknown_catalog_is_told_with_the_nearest() -> None:
    [problem] = validate({"do": [{"go": {"call": "f:1.0.0@our"}}], "use": CATALOG}, catalogue=ACTIONS)
    assert (problem.code, problem.suggestion) == ("unknown_catalog", "Did you mean `ours`?")


def test_names_of_functions_show_no_more_than_their_last_word() -> None:
    assert name_of("https://x.org/a/secret/My%20Check.yaml?token=abc") == "My-20Check"
    assert raw("not an address") == "not an address"


def test_a_function_cannot_undo_a_step() -> None:
    step = {"call": "look", "metadata": {"compensate": {"call": "double", "with": {"n": 1}}}}
    found = problems([{"go": step}], use=_use(double=DOUBLE))
    assert list(found) == ["not_an_action /do/0/go/metadata/compensate/call"]


def test_an_extension_may_call_a_function_and_does_not_stand_around_its_steps() -> None:
    use = {
        "functions": {"note": {"do": [{"inner": {"set": {"noted": True}}}]}},
        "extensions": [{"log": {"extend": "all", "before": [{"say": {"call": "note"}}]}}],
    }
    run = execute("- go: {set: {a: 1}}", {}, use=use)
    assert run.output == {"a": 1}
    assert [record.name for record in run.records.values()].count("inner") == 1

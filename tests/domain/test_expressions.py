"""The expression language of definitions: what is evaluated, against what, and at what counted cost."""

# ruff: noqa: E501  # programs and their results stay on one line

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from domain.definitions.expressions import (
    ACTIVATION_FUEL,
    EXPRESSION_FUEL,
    ExpressionError,
    FuelExhausted,
    Meter,
    compile_expression,
    compile_template,
    is_expression,
    strip_expression,
)
from domain.definitions.values import ValueRefused, canonical, check_value, measure, quote

ROOT = Path(__file__).resolve().parents[2]


def evaluate(source: str, value: Any = None, **scope: Any) -> Any:
    return compile_expression(source).evaluate(value, scope, Meter())


def refused(source: str, value: Any = None, **scope: Any) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        evaluate(source, value, **scope)
    return caught.value


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        (".user.name", {"user": {"name": "Ada"}}, "Ada"),
        (".missing.deeper", {}, None),
        ("[.[] | select(.ok) | .n] | add", [{"ok": True, "n": 1}, {"ok": False, "n": 2}, {"ok": True, "n": 4}], 5),
        ('["\\(1, 2)-\\(3, 4)"]', None, ["1-3", "2-3", "1-4", "2-4"]),
        ("map_values(.+1)", {"a": 1}, {"a": 2}),
        (".a[1] |= .+1", {"a": [1, 2]}, {"a": [1, 3]}),
        ("(.. | numbers) |= .*2", [1, {"a": 2}], [2, {"a": 4}]),
        (".a.b |= empty", {"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}),
        ("with_entries(.value += 1)", {"a": 1}, {"a": 2}),
        ("del(.[1, 2])", [1, 2, 3], [1]),
        ('reduce .[] as {$k, v: $n} ({}; .[$k] += $n)', [{"k": "a", "v": 1}, {"k": "a", "v": 2}], {"a": 3}),
        ("[limit(3; repeat(1))]", None, [1, 1, 1]),
        ("[recurse(if . < 3 then .+1 else empty end)]", 1, [1, 2, 3]),
        ("1 | until(. > 1000; . * 2)", None, 1024),
        ('"2015-03-05T23:51:47Z" | fromdate', None, 1425599507),
        ("1425599507 | todate", None, "2015-03-05T23:51:47Z"),
        ('"10:20 PM, 3 March 2024" | strptime("%I:%M %p, %d %B %Y") | mktime', None, 1709504400),
        ('1709504400 | strftime("%a %d %b %Y week %V %j %%")', None, "Sun 03 Mar 2024 week 09 063 %"),
        ("[paths]", {"a": [1]}, [["a"], ["a", 0]]),
        ("[tostream] | fromstream(.[])", {"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}),
        ('gsub("(?<d>[0-9]+)"; "<\\(.d)>")', "a1b22", "a<1>b<22>"),
        ('[match("é+"; "g").offset]', "aéébé", [1, 4]),
        ("group_by(.k) | map(length)", [{"k": 1}, {"k": 2}, {"k": 1}], [2, 1]),
        ("def f(x; $y): x + $y; f(.a; 10)", {"a": 1}, 11),
        ("try error({code: 7}) catch .code", None, 7),
        (". as [$a] ?// $a | $a", 5, 5),
        ("@csv", [1, "a\"b", None, True], '1,"a""b",,true'),
        ("[combinations]", [[1, 2], [3]], [[1, 3], [2, 3]]),
        ('IN("a", "b")', "b", True),
        ('INDEX(.id) | map_values(.n)', [{"id": 1, "n": 2}], {"1": 2}),
        ("pick(.a.b, .c)", {"a": {"b": 1, "x": 2}, "c": 3}, {"a": {"b": 1}, "c": 3}),
        ("@base32d", "MZXW6===", "foo"),
        ('ltrimstr("x") | trim', "x y ", "y"),
        ("[splits(\", *\")]", "a, b,c", ["a", "b", "c"]),
        ("tojson | fromjson", {"a": [1.5, "é\x7f"]}, {"a": [1.5, "é\x7f"]}),
        (".a // \"none\"", {"a": False}, "none"),
        ("[.[] | tostring]", [1.0, 10.5, [1], "x"], ["1", "10.5", "[1]", "x"]),
    ],
)  # fmt: skip
def test_it_is_jq(source: str, value: Any, expected: Any) -> None:
    assert evaluate(source, value) == expected


def test_variables_come_from_the_scope_and_are_named() -> None:
    expression = compile_expression("$context.total + (.n as $x | $x) + $input")
    assert expression.names == {"context", "input"}
    assert expression.evaluate({"n": 1}, {"context": {"total": 2}, "input": 3, "unused": 4}, Meter()) == 6


def test_a_variable_that_is_not_in_scope_is_suggested() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression("$contxt.a", frozenset({"context", "input"}))
    assert (caught.value.kind, caught.value.message) == (
        "syntax",
        "$contxt is not defined here. Did you mean $context?",
    )
    assert refused("$steps.a").message == "$steps is not available here."


def test_unknown_functions_are_suggested_when_compiling() -> None:
    for source, told in (
        ("lenght", "lenght/0 is not a function. Did you mean length?"),
        ("map", "map takes 1 arguments, not 0."),
        ("def total: 1; totl", "totl/0 is not a function. Did you mean total?"),
        ("@base46", "@base46 is not a format. Did you mean @base64?"),
    ):
        with pytest.raises(ExpressionError) as caught:
            compile_expression(source)
        assert (caught.value.kind, caught.value.message) == ("syntax", told)


def test_nothing_outside_can_be_reached() -> None:
    for source in (
        "now",
        "env",
        "$ENV",
        "input",
        "halt",
        "debug",
        'import "a" as a; 1',
        "localtime",
        "stderr",
    ):
        error = refused(source)
        assert error.kind == "forbidden"
        assert "is not available" in error.message


def test_there_is_exactly_one_result() -> None:
    assert refused("empty").kind == "cardinality"
    assert refused(".[]", [1, 2]).kind == "cardinality"
    assert evaluate(".[]", [1]) == 1


def test_numbers_are_json() -> None:
    result = evaluate("[1.0, .5 + .5, 7 / 2, 6 / 2, 1e3, 10 % 3, -0.0]")
    assert [(type(number), number) for number in result] == [
        *((int, 1), (int, 1), (float, 3.5), (int, 3), (int, 1000), (int, 1), (int, 0)),
    ]
    assert evaluate("9223372036854775807 - 1") == 9223372036854775806
    assert evaluate("9223372036854775807 + 1") == 2.0**63
    assert type(evaluate(".", 3.0)) is int
    for source in ("nan", "infinite", "[nan]", "{a: -infinite}", "1e308 * 10"):
        assert "NaN or infinite" in refused(source).message
    assert evaluate("[nan] | length") == 1


def test_what_cannot_be_stored_is_no_result() -> None:
    assert "NUL" in refused('{a: "x\\u0000"}').message
    assert "surrogate" in refused('"\\ud800"').message
    assert evaluate('"x\\u0000" | length') == 2


def test_errors_say_what_and_where() -> None:
    error = refused(".a.b", {"a": [1]})
    assert (error.kind, error.expression) == ("runtime", ".a.b")
    assert error.message == 'Cannot index array with string ("b").'
    assert str(error).endswith("In the expression: .a.b")
    assert refused('error("no client")').message == "no client."
    assert refused("error({a: 1})").message == 'It failed with object ({"a":1}).'


def test_results_do_not_change_the_input() -> None:
    value = {"a": {"b": [1, 2]}}
    before = json.dumps(value)
    assert evaluate(".a.b[0] = 9 | .a.c = 1 | .a.b += [3] | del(.a.b[1])", value) == {
        "a": {"b": [9, 3], "c": 1}
    }
    assert json.dumps(value) == before


def test_updates_reach_shared_parts_once() -> None:
    assert evaluate("[., .] | .[0].a = 2", {"a": 1}) == [{"a": 2}, {"a": 1}]
    assert evaluate(
        '(.a, .a.b) |= (if type == "object" then . + {c: 1} else . + 1 end)', {"a": {"b": 1}}
    ) == {"a": {"b": 2, "c": 1}}


class TestBudget:
    def test_fuel_is_the_same_every_time(self) -> None:
        spent = set()
        for _ in range(3):
            meter = Meter()
            compile_expression("[.[] | {a: .x, b: [.y[]?]}] | group_by(.a) | tojson").evaluate(
                [{"x": i % 3, "y": [1, 2]} for i in range(20)], {}, meter
            )
            spent.add(meter.spent)
        assert len(spent) == 1
        assert spent.pop() > 100

    def test_fuel_depends_on_values_and_not_on_objects(self) -> None:
        part = {"a": ["x" * 50, 2]}
        counts = []
        for value in ([part, part], [json.loads(json.dumps(part)), json.loads(json.dumps(part))]):
            meter = Meter()
            compile_expression(
                '(.[0] == .[1]), unique, sort, index(.[0]) | select(type == "boolean")'
            ).evaluate(value, {}, meter)
            counts.append(meter.spent)
        assert counts[0] == counts[1]

    def test_fuel_is_the_same_in_another_process(self) -> None:
        program = (
            "from domain.definitions.expressions import *\n"
            "meter = Meter()\n"
            "value = {'k%d' % i: {'n': i, 't': 'x' * i} for i in range(50)}\n"
            "for source in ('to_entries | sort_by(.value.t) | from_entries', '[.. | strings | test(\"x+$\")] | unique',\n"
            "               'map_values(.n) | tojson | fromjson | keys', '[paths] | map(join(\"/\")) | group_by(length)'):\n"
            "    compile_expression(source).evaluate(value, {}, meter)\n"
            "try: compile_expression('def f: f; f').evaluate(None, {}, meter)\n"
            "except ExpressionError: pass\n"
            "print(meter.spent)\n"
        )
        counts = {
            subprocess.run(
                [sys.executable, "-c", program],
                env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=True,
                cwd=ROOT,
            ).stdout
            for seed in ("0", "1", "4242")
        }
        assert len(counts) == 1
        assert int(counts.pop()) > 1_000

    def test_one_expression_may_not_spend_more_than_its_own_limit(self) -> None:
        meter = Meter()
        with pytest.raises(ExpressionError) as caught:
            compile_expression("last(range(1e9))").evaluate(None, {}, meter)
        assert caught.value.kind == "limit"
        assert meter.spent == EXPRESSION_FUEL

    def test_an_activation_ends_with_its_own_signal(self) -> None:
        innocent = compile_expression("[range(2000)] | length")
        meter = Meter(ACTIVATION_FUEL)
        evaluated = 0
        while meter.spent + 5_000 < ACTIVATION_FUEL:
            assert innocent.evaluate(None, {}, meter) == 2000
            evaluated += 1
        assert 10 < evaluated < 100
        with pytest.raises(FuelExhausted):
            compile_expression("[range(20000)] | length").evaluate(None, {}, meter)
        assert meter.spent == ACTIVATION_FUEL
        with pytest.raises(FuelExhausted):
            innocent.evaluate(None, {}, meter)
        assert innocent.evaluate(None, {}, Meter(ACTIVATION_FUEL)) == 2000
        assert not issubclass(FuelExhausted, ExpressionError)

    @pytest.mark.parametrize(
        ("source", "least"),
        [
            ('"x" * 1000000 | length', 3_000),
            ("[range(1000)] | . + . | length", 1_000),
            ('"ab" * 10000 | test("^(a|b)*c")', 500),
            ("[range(200)] | . == .", 400),
            ('[range(500)] | map({key: "\\(.)", value: .}) | from_entries | . + {a: 1} | length', 3_000),
        ],
    )
    def test_size_has_its_price(self, source: str, least: int) -> None:
        meter = Meter()
        compile_expression(source).evaluate(None, {}, meter)
        assert meter.spent >= least

    def test_a_program_cannot_catch_the_end_of_the_budget(self) -> None:
        with pytest.raises(FuelExhausted):
            compile_expression("try last(range(1e9)) catch 1").evaluate(None, {}, Meter(1_000))

    def test_without_an_activation_budget_there_is_still_the_limit_of_an_expression(self) -> None:
        meter = Meter(None)
        for _ in range(5):
            compile_expression("[range(20000)] | length").evaluate(None, {}, meter)
        assert meter.spent > EXPRESSION_FUEL


class TestTemplates:
    def test_whole_strings_are_expressions(self) -> None:
        assert is_expression("${ .a }")
        assert is_expression('${ {a: "}"} | "\\(.a + "{")" }')
        assert not is_expression("${ .a } and ${ .b }")
        assert not is_expression("Hello ${ .a }")
        assert not is_expression(".a")
        assert strip_expression("${ .a }") == ".a"
        assert strip_expression(".a") == ".a"

    def test_literals_stay_and_expressions_are_replaced(self) -> None:
        template = compile_template({"to": "${ .email }", "n": 1, "list": ["${ $context.x }", "${", None]})
        assert template.names == {"context"}
        result = template.evaluate({"email": "a@example.com"}, {"context": {"x": [1]}}, Meter())
        assert result == {"to": "a@example.com", "n": 1, "list": [[1], "${", None]}

    def test_mixed_strings(self) -> None:
        template = compile_template(
            'Dear ${ .name }, ${ .n } of ${ {a: [1, "}"]} }${ .none }!', mixed=True, allowed=frozenset()
        )
        assert template.evaluate({"name": "Ada", "n": 2.0}, {}, Meter()) == 'Dear Ada, 2 of {"a":[1,"}"]}!'
        plain = compile_template("Dear ${ .name }")
        assert plain.evaluate({"name": "Ada"}, {}, Meter()) == "Dear ${ .name }"
        with pytest.raises(ExpressionError) as caught:
            compile_template("Dear ${ .name", mixed=True)
        assert caught.value.kind == "syntax"

    def test_expressions_in_data_are_data(self) -> None:
        template = compile_template({"a": "${ .text }", "b": "x ${ .text }"}, mixed=True)
        result = template.evaluate({"text": "${ $secrets.key }"}, {}, Meter())
        assert result == {"a": "${ $secrets.key }", "b": "x ${ $secrets.key }"}

    def test_an_unclosed_expression_is_told(self) -> None:
        with pytest.raises(ExpressionError) as caught:
            compile_template({"a": "${ {a: 1 }"})
        assert caught.value.kind == "syntax"

    def test_names_are_checked_when_compiling(self) -> None:
        with pytest.raises(ExpressionError):
            compile_template({"a": ["${ $secret.x }"]}, allowed=frozenset({"secrets"}))

    def test_templates_spend_from_the_activation(self) -> None:
        template = compile_template(["${ [range(3000)] | length }"] * 100)
        meter = Meter(ACTIVATION_FUEL)
        with pytest.raises(FuelExhausted):
            template.evaluate(None, {}, meter)
        assert meter.spent == ACTIVATION_FUEL

    def test_a_fresh_container_every_time(self) -> None:
        template = compile_template({"a": {"b": [1]}})
        first = template.evaluate(None, {}, Meter())
        assert isinstance(first, dict)
        first["a"] = 2
        assert template.evaluate(None, {}, Meter()) == {"a": {"b": [1]}}


class TestValues:
    def test_values_are_checked_and_copied(self) -> None:
        value = {"a": [1.0, "é", None, True, 1.5]}
        copy = check_value(value)
        assert copy == value
        assert copy is not value
        assert json.dumps(copy) == '{"a": [1, "\\u00e9", null, true, 1.5]}'

    @pytest.mark.parametrize(
        ("value", "pointer", "word"),
        [
            ({"a": [float("nan")]}, "/a/0", "NaN"),
            ([float("inf")], "/0", "Infinity"),
            ({"a/b": {"~": 2**63}}, "/a~1b/~0", "64 bits"),
            ({"a": "\ud800"}, "/a", "surrogate"),
            ({"a": "x\x00"}, "/a", "NUL"),
            ({1: 2}, "", "not text"),
            ({"a": {1, 2}}, "/a", "not JSON"),
            (["x" * 200_000], "/0", "larger"),
        ],
    )
    def test_what_may_not_enter_state(self, value: Any, pointer: str, word: str) -> None:
        with pytest.raises(ValueRefused) as caught:
            check_value(value)
        assert caught.value.pointer == pointer
        assert word in caught.value.message

    def test_shared_parts_do_not_unfold_without_end(self) -> None:
        value: Any = 1
        for _ in range(60):
            value = [value, value]
        with pytest.raises(ValueRefused, match="larger"):
            check_value(value)
        assert measure(value, 10_000) == 10_001
        assert len(quote(value, 60)) <= 60
        with pytest.raises(ValueRefused):
            canonical(value)

    def test_depth_is_bounded(self) -> None:
        value: Any = 1
        for _ in range(64):
            value = [value]
        assert check_value(value) == value
        with pytest.raises(ValueRefused, match="deeper"):
            check_value([value])
        for _ in range(100_000):
            value = [value]
        with pytest.raises(ValueRefused, match="deeper"):
            check_value(value)
        with pytest.raises(ValueRefused):
            canonical(value)

    @pytest.mark.parametrize(
        "value", [None, True, 12, 1.5, 'é\n"x', [], {}, [1, "a", {"b": [None]}], {"ü": {"b": False}}]
    )
    def test_measure_is_the_size_of_compact_json(self, value: Any) -> None:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        assert measure(value, 1_000) == len(text)
        check_value(value, max_bytes=len(text))
        with pytest.raises(ValueRefused):
            check_value(value, max_bytes=len(text) - 1)

    def test_canonical_sorts_and_is_compact(self) -> None:
        assert canonical({"b": 1, "a": ["é"]}) == '{"a":["é"],"b":1}'.encode()

"""No program costs more than it may, whatever it does, and none ends in anything but a value or a clear error."""

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.definitions.expressions import ExpressionError, FuelExhausted, Meter, compile_expression
from domain.definitions.expressions.meter import EXPRESSION_FUEL
from tests.conformance.jq_grammar import programs
from tests.pace import slowness, small_heap

__all__ = ["small_heap"]  # a fixture of this whole module

SECONDS = 0.1

# What hung, aborted or leaked in the native evaluators when the language was chosen.
CHOSEN_AGAINST = [
    ("def f: f; f", None, "limit"),
    ("def f: 1+f; f", None, "limit"),
    ("[range(1e9)]", None, "limit"),
    ('"x"*1e9', None, "runtime"),
    ("reduce range(100000) as $i (0; [.])", None, "limit"),
    ("[" * 2000 + "]" * 2000, None, "syntax"),
    ('reduce range(60) as $i ("x"; .+.)', None, "limit"),
    ('"bye"|halt_error', None, "forbidden"),
    ("env", None, "forbidden"),
    ("$ENV", None, "forbidden"),
    ("$ENV.HOME", None, "forbidden"),
]


@pytest.mark.parametrize(
    ("source", "value", "kind"), CHOSEN_AGAINST, ids=[row[0][:30] for row in CHOSEN_AGAINST]
)
def test_each_ends_within_a_tenth_of_a_second_with_a_clear_error(source: str, value: Any, kind: str) -> None:
    began = time.thread_time()
    with pytest.raises(ExpressionError) as caught:
        compile_expression(source).evaluate(value, {}, Meter())
    assert time.thread_time() - began <= SECONDS * slowness()
    assert caught.value.kind == kind
    assert caught.value.message.endswith((".", "?"))
    assert len(str(caught.value)) < 500


def test_a_pattern_that_explodes_elsewhere_is_linear_here() -> None:
    began = time.thread_time()
    found = compile_expression('test("^(a+)+$")').evaluate("a" * 50_000 + "!", {}, Meter())
    assert found is False
    assert time.thread_time() - began <= SECONDS * slowness()


ENDLESS = [
    "def f: (§)|f; f", "[limit(1e7;repeat(§))]", "reduce range(1e7) as $i (.; §)", "[range(1e7)|(§)?]",
    "until(false;(§)//1)", "[recurse(§)]", "[.,(§)]|[while(true;[.[]|(§)?])]", "def f(g): g|f(g|§); f(.)",
    "last(range(1e7)|[§])", "(.. |= (§))|[repeat(.)]", "[limit(1e7;repeat(try error(§) catch .))]", "§",
]  # fmt: skip

_once = settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)


def _spent(source: str, value: Any, fuel: int | None) -> tuple[str, int]:
    """Return how a program ends (a value, the error's kind, or the fuel of its activation), and its cost."""
    meter = Meter(fuel)
    try:
        compile_expression(source, frozenset()).evaluate(value, {}, meter)
    except ExpressionError as error:
        clear = "cannot be evaluated" not in error.message and "memory" not in error.message
        return error.kind if clear else f"unclear: {error.message}", meter.spent
    except FuelExhausted:
        return "fuel", meter.spent
    return "value", meter.spent


@_once
@given(drawn=programs(), around=st.sampled_from(ENDLESS))
def test_a_drawn_program_never_spends_more_than_its_activation_has(
    drawn: tuple[str, Any], around: str
) -> None:
    part, value = drawn
    source = around.replace("§", part)
    ending, spent = _spent(source, value, 4_000)
    assert spent <= 4_000
    assert not ending.startswith("unclear"), ending
    assert (ending, spent) == _spent(source, value, 4_000), "the same budget ends at the same place"


@settings(_once, max_examples=60)
@given(drawn=programs(), around=st.sampled_from(ENDLESS))
def test_a_drawn_program_never_spends_more_than_an_expression_may(
    drawn: tuple[str, Any], around: str
) -> None:
    part, value = drawn
    began = time.thread_time()
    ending, spent = _spent(around.replace("§", part), value, None)
    assert spent <= EXPRESSION_FUEL
    assert ending in ("value", "limit", "runtime", "cardinality", "syntax")
    assert time.thread_time() - began <= 2 * SECONDS * slowness()

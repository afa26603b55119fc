"""Library: mathematics. Outside a function's domain the result is NaN, beyond a double it is infinite."""

import math
from collections.abc import Callable
from typing import Any

from ..values import normal_number
from .arithmetic import is_number, negate
from .errors import Fault
from .library import value
from .meter import Run
from .order import compare
from .text import describe

value("infinite")(lambda run, given: math.inf)
value("nan")(lambda run, given: math.nan)
value("isinfinite")(lambda run, given: math.isinf(number(given)))
value("isnan")(lambda run, given: math.isnan(number(given)))
value("isnormal")(lambda run, given: math.isfinite(number(given)) and abs(given) >= 2.2250738585072014e-308)


def number(given: Any) -> Any:
    """Return a number; raises Fault for anything else."""
    if not is_number(given):
        raise Fault(f"{describe(given)} number required")
    return given


def computed(calculate: Callable[[], Any]) -> Any:
    """Return the result of a calculation with Python's exceptions turned into doubles."""
    try:
        result = calculate()
    except OverflowError:
        return math.inf
    except (ValueError, ZeroDivisionError):
        return math.nan
    return math.nan if isinstance(result, complex) else normal_number(result)


def _round(given: float) -> int:
    """Halves go away from zero; adding one half first would carry 0.49999999999999994 up to 1."""
    whole = math.trunc(given)
    return whole + (1 if given > 0 else -1) if abs(given - whole) >= 0.5 else whole


def _logb(given: Any) -> float:
    return float(math.frexp(given)[1] - 1) if given else -math.inf


_WHOLE: dict[str, Callable[[Any], Any]] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "round": _round,
    "trunc": math.trunc,
    "rint": round,
    "nearbyint": round,
}
_ONE: dict[str, Callable[[Any], Any]] = {
    **{
        name: getattr(math, name)
        for name in ("fabs", "sqrt", "exp", "log", "log2", "log10", "expm1", "log1p")
    },
    **{
        name: getattr(math, name)
        for name in ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh")
    },
    **{name: getattr(math, name) for name in ("asinh", "acosh", "atanh", "cbrt", "lgamma")},
    "gamma": math.lgamma,
    "tgamma": math.gamma,
    "exp2": lambda given: 2.0**given,
    "exp10": lambda given: 10.0**given,
    "pow10": lambda given: 10.0**given,
    "significand": lambda given: math.frexp(given)[0] * 2,
    "logb": _logb,
}
_TWO: dict[str, Callable[[Any, Any], Any]] = {
    "pow": lambda base, power: float(base) ** power,
    "atan2": math.atan2,
    "fmin": min,
    "fmax": max,
    "fmod": math.fmod,
    "drem": math.remainder,
    "copysign": math.copysign,
    "ldexp": lambda given, power: math.ldexp(given, max(-3000, min(3000, int(power)))),
    "scalb": lambda given, power: math.ldexp(given, max(-3000, min(3000, int(power)))),
    "scalbln": lambda given, power: math.ldexp(given, max(-3000, min(3000, int(power)))),
}


def _register_one(name: str, calculate: Callable[[Any], Any]) -> None:
    def function(_run: Run, given: Any) -> Any:
        return computed(lambda: calculate(number(given)))

    value(name)(function)


def _register_whole(name: str, calculate: Callable[[Any], Any]) -> None:
    def function(_run: Run, given: Any) -> Any:
        return computed(lambda: calculate(given)) if math.isfinite(number(given)) else given

    value(name)(function)


def _register_two(name: str, calculate: Callable[[Any, Any], Any]) -> None:
    def function(_run: Run, _given: Any, one: Any, two: Any) -> Any:
        return computed(lambda: calculate(number(one), number(two)))

    value(name, 2)(function)


for _name, _calculate in _WHOLE.items():
    _register_whole(_name, _calculate)
for _name, _calculate in _ONE.items():
    _register_one(_name, _calculate)
for _name, _calculate_two in _TWO.items():
    _register_two(_name, _calculate_two)


@value("abs")
def absolute(run: Run, given: Any) -> Any:
    """Return what is below zero negated, and everything else as it is: null, false and true are below."""
    return negate(run, given) if compare(run, given, 0) < 0 else given


@value("fma", 3)
def fma(_run: Run, _given: Any, one: Any, two: Any, three: Any) -> Any:
    """Return a product plus a number."""
    return computed(lambda: float(number(one)) * number(two) + number(three))


@value("frexp")
def frexp(_run: Run, given: Any) -> list[Any]:
    """Return the fraction and the power of two of a number."""
    fraction, power = math.frexp(number(given))
    return [normal_number(fraction), power]


@value("modf")
def modf(_run: Run, given: Any) -> list[Any]:
    """Return the fraction and the whole part of a number."""
    fraction, whole = math.modf(number(given))
    return [normal_number(fraction), normal_number(whole)]

"""What may enter the state of an execution: values of bounded size that satisfy their schemas. Checking is paid for."""

from domain.definitions.expressions import FuelExhausted, Json, Meter
from domain.definitions.faults import Fault
from domain.definitions.schema_cost import TooCostly, count_steps
from domain.definitions.schemas import MAX_STEPS, MAX_VALUE_BYTES, Schema
from domain.definitions.values import measure

#: The largest value that may enter the state, in bytes of JSON.
MAXIMUM_VALUE = 128 * 1024

# Prices in fuel, by the dearest values measured: a list of 65 000 digits takes 26 ms to measure, and 24 000
# steps of a schema take 40 ms. Without them a loop that only passes a large value on would be nearly free.
_BYTES_PER_UNIT = 8
_UNITS_PER_SCHEMA_STEP = 2


def charge(meter: Meter, units: int) -> None:
    """Raises FuelExhausted, with nothing charged, when the meter does not hold that much any more."""
    left = meter.left()
    if left is not None and left < units:
        raise FuelExhausted
    meter.spent += units


def charge_walk(meter: Meter, size: int) -> None:
    """Pay for one walk over a value of `size` bytes."""
    charge(meter, size // _BYTES_PER_UNIT)


def checked(value: Json, what: str, meter: Meter) -> Json:
    """Refuse a value too large for the state."""
    size = measure(value, MAXIMUM_VALUE)
    charge_walk(meter, size)
    if size > MAXIMUM_VALUE:
        raise Fault(
            "runtime",
            413,
            "Value too large",
            f"{what} is larger than {MAXIMUM_VALUE // 1024} KB; keep only what later steps need with"
            " `output.as`, or store it as a document and pass its id",
        )
    return value


def refuse_problems(schema: Schema | None, value: Json, what: str, meter: Meter) -> None:
    """Raise a validation fault naming the first problems of a value."""
    if schema is None:
        return
    _charge_validation(schema, value, meter)
    problems = schema.problems(value)
    if problems:
        listed = "; ".join(f"{problem.pointer or '/'}: {problem.message}" for problem in problems[:5])
        raise Fault("validation", 400, "Schema not satisfied", f"{what} does not fit its schema: {listed}")


def _charge_validation(schema: Schema, value: Json, meter: Meter) -> None:
    """The schema counts its own limit; here the same count is paid, so that many small checks add up too."""
    size = measure(value, MAX_VALUE_BYTES)
    charge_walk(meter, 2 * size)  # the schema measures once more
    if size > MAX_VALUE_BYTES:
        return  # the schema refuses it unseen
    try:
        steps = count_steps(schema.plan, value, MAX_STEPS)
    except TooCostly:
        steps = MAX_STEPS  # that is where the schema stops counting and refuses
    charge(meter, _UNITS_PER_SCHEMA_STEP * steps)

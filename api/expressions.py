"""Trying an expression before a definition depends on it: against a sample, or against what an execution saw."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field, StringConstraints

from api.auth import Caller, require
from api.collaborators import Parts
from api.fields import AnyJson, Body, JsonObject
from api.trying import Recorded
from domain.definitions.expressions import (
    EXPRESSION_FUEL,
    ExpressionError,
    FuelExhausted,
    Meter,
    compile_expression,
    strip_expression,
)
from domain.definitions.model import MAX_EXPRESSION_BYTES
from domain.definitions.valueshapes import outline
from domain.errors import Forbidden, Invalid, Problem
from domain.permissions import Permission

router = APIRouter(prefix="/v1/expressions", tags=["workflows"])
Reader = Annotated[Caller, Depends(require(Permission.WORKFLOWS_READ))]
Source = Annotated[str, StringConstraints(min_length=1, max_length=MAX_EXPRESSION_BYTES)]
# One evaluation may keep a core busy for a tenth of a second; more at once would only delay everybody else.
_one_at_a_time = ThreadPoolExecutor(max_workers=1, thread_name_prefix="expressions")


class RecordedStep(Body):
    """A recorded execution, and the step of it whose values are meant."""

    id: UUID
    step: Annotated[str, StringConstraints(max_length=500)] | None = Field(
        None,
        description="A step's name or JSON pointer; without one, `.` is the execution's input.",
        examples=["route"],
    )
    visit: Annotated[int, Field(ge=1, lt=2**31)] | None = Field(
        None, description="Which entry into the step, counted from 1; the latest when absent."
    )
    moment: Literal["before", "after"] = Field(
        "before", description="`before`: `.` is what the step is given. `after`: `.` is its recorded output."
    )


class Trial(Body):
    expression: Source = Field(description="jq, bare or as `${ … }`.", examples=["${ .items | length }"])
    input: AnyJson = Field(None, description="What `.` is; of a recorded execution only when absent here.")
    scope: JsonObject = Field(
        default_factory=dict,
        description="The values of names, such as context or input, without $; before those of the execution.",
    )
    execution: RecordedStep | None = None


class Result(BaseModel):
    result: Any
    names: list[str] = Field(description="The names from outside that the expression reads.")
    cost: int = Field(description=f"Steps of evaluation; {EXPRESSION_FUEL} are allowed.")
    scope: dict[str, Any] = Field(
        description="What is in scope, `.` and the names with $: the outline of each value, without its data."
    )


@router.post("/evaluate", operation_id="expressions_evaluate", response_model=Result)
async def evaluate_expression(caller: Reader, parts: Parts, body: Trial) -> Result:
    """Evaluates as an execution would, within the same limits; nothing is stored.

    With `execution`, against what a step of it saw: its input, `$context`, loop variables, `$steps`. These values are
    found by walking the version again with the recorded answers. `$secrets` never have a value here.
    """
    recorded = None
    if body.execution is not None:
        if not caller.may(Permission.EXECUTIONS_READ):
            raise Forbidden("Reading an execution's values needs the permission executions:read.")
        async with parts.database.transaction(caller.access) as tx:
            recorded = await Recorded.read(tx, body.execution.id)
    return await asyncio.get_running_loop().run_in_executor(_one_at_a_time, _evaluate, body, recorded)


def _evaluate(body: Trial, recorded: Recorded | None) -> Result:
    source = strip_expression(body.expression.strip())
    value, scope = _values(body, recorded)
    meter = Meter(EXPRESSION_FUEL)
    try:
        expression = compile_expression(source)
        result = expression.evaluate(value, scope, meter)
    except ExpressionError as error:
        raise _refused(_told(error, source), f"expression_{error.kind}", _mend(error, scope)) from None
    except FuelExhausted:
        message = "It takes too many steps; handle fewer items at once or simplify it."
        raise _refused(message, "expression_limit", None) from None
    shapes = {".": outline(value), **{f"${name}": outline(scope[name]) for name in sorted(scope)}}
    return Result(result=result, names=sorted(expression.names), cost=meter.spent, scope=shapes)


def _values(body: Trial, recorded: Recorded | None) -> tuple[Any, dict[str, Any]]:
    sent = {name.removeprefix("$"): value for name, value in body.scope.items()}
    if recorded is None or body.execution is None:
        return body.input, sent
    of = body.execution
    seen = recorded.values(of.step, of.visit, of.moment == "after")
    value = body.input if "input" in body.model_fields_set else seen.value
    return value, {**seen.scope, **sent}


def _told(error: ExpressionError, source: str) -> str:
    """The message, and where in the expression the trouble begins."""
    if error.position is None:
        return error.message
    lines = source[: error.position].split("\n")
    line = f"line {len(lines)}, " if "\n" in source else ""
    near = source[error.position : error.position + 20].partition("\n")[0]
    return f"At {line}character {len(lines[-1]) + 1}{f' (`{near}`)' if near else ''}: {error.message}"


def _mend(error: ExpressionError, scope: dict[str, Any]) -> str | None:
    if "is not available here" not in error.message:
        return None
    if "$secrets" in error.message:
        return 'An execution reads secrets in `with` alone; to try it, send an example in `scope`: {"secrets": {…}}.'
    known = ", ".join(f"${name}" for name in sorted(scope)[:20])
    return f"In scope are {known}." if known else "Send values for names in `scope`."


def _refused(message: str, code: str, suggestion: str | None) -> Invalid:
    problem = Problem("#/expression", message, suggestion, code)
    return Invalid("The expression has no usable result; see `errors`.", problems=[problem])

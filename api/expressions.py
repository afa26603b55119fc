"""Trying an expression before a definition depends on it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field, StringConstraints

from api.auth import Caller, require
from api.fields import AnyJson, Body, JsonObject
from domain.definitions.expressions import (
    EXPRESSION_FUEL,
    ExpressionError,
    FuelExhausted,
    Meter,
    compile_expression,
    strip_expression,
)
from domain.definitions.model import MAX_EXPRESSION_BYTES
from domain.errors import Invalid, Problem
from domain.permissions import Permission

router = APIRouter(prefix="/v1/expressions", tags=["workflows"])
Reader = Annotated[Caller, Depends(require(Permission.WORKFLOWS_READ))]
Source = Annotated[str, StringConstraints(min_length=1, max_length=MAX_EXPRESSION_BYTES)]
# One evaluation may keep a core busy for a tenth of a second; more at once would only delay everybody else.
_one_at_a_time = ThreadPoolExecutor(max_workers=1, thread_name_prefix="expressions")


class Trial(Body):
    expression: Source = Field(description="jq, bare or as `${ … }`.", examples=["${ .items | length }"])
    input: AnyJson = Field(None, description="What `.` is.")
    scope: JsonObject = Field(
        default_factory=dict, description="The values of names, such as context or input, without $."
    )


class Result(BaseModel):
    result: Any
    names: list[str] = Field(description="The names from outside that the expression reads.")
    cost: int = Field(description=f"Steps of evaluation; {EXPRESSION_FUEL} are allowed.")


@router.post("/evaluate", operation_id="expressions_evaluate", response_model=Result)
async def evaluate_expression(_: Reader, body: Trial) -> Result:
    """Evaluates as an execution would, within the same limits; nothing is stored."""
    return await asyncio.get_running_loop().run_in_executor(_one_at_a_time, _evaluate, body)


def _evaluate(body: Trial) -> Result:
    source = strip_expression(body.expression.strip())
    scope = {name.removeprefix("$"): value for name, value in body.scope.items()}
    meter = Meter(EXPRESSION_FUEL)
    try:
        expression = compile_expression(source)
        result = expression.evaluate(body.input, scope, meter)
    except ExpressionError as error:
        raise _refused(error.message, f"expression_{error.kind}", _mend(error, scope)) from None
    except FuelExhausted:
        message = "It takes too many steps; handle fewer items at once or simplify it."
        raise _refused(message, "expression_limit", None) from None
    return Result(result=result, names=sorted(expression.names), cost=meter.spent)


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

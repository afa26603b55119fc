"""How a step's raw output becomes its output and, with `export`, the new context. Runs wherever the output arises."""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.definitions.checks import checked, refuse_problems
from domain.definitions.expressions import ExpressionError, Json, Meter
from domain.definitions.faults import Fault
from domain.definitions.program import Flow, Step


@dataclass(frozen=True, slots=True)
class Shaped:
    output: Json
    exports: bool
    export: Json = None

    def as_json(self) -> dict[str, Json]:
        return {"output": self.output, "export": self.export} if self.exports else {"output": self.output}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> "Shaped":
        return cls(data["output"], "export" in data, data.get("export"))


def shape(step: Step, raw: Json, scope: Mapping[str, Json], meter: Meter) -> Shaped:
    """Evaluate `output` and `export` in the order of the specification.

    `scope` holds the values of `step.flow.leaving_names`. Raises Fault, ExpressionError and FuelExhausted.
    """
    return shape_flow(step.flow, f"step '{step.name}'", raw, scope, meter)


def shape_flow(flow: Flow, what: str, raw: Json, scope: Mapping[str, Json], meter: Meter) -> Shaped:
    """`shape` for whatever else has an output of its own; `what` names it in errors."""
    scope = _with_raw_output(scope, raw)
    output = raw
    if flow.output_as is not None:
        output = flow.output_as.evaluate(raw, {**scope, "output": raw}, meter)
    refuse_problems(flow.output_schema, output, f"The output of {what}", meter)
    checked(output, f"The output of {what}", meter)
    if flow.export_as is None:
        return Shaped(output, exports=False)
    export = flow.export_as.evaluate(output, {**scope, "output": output}, meter)
    refuse_problems(flow.export_schema, export, f"What {what} exports", meter)
    checked(export, f"What {what} exports", meter)
    return Shaped(output, exports=True, export=export)


def expression_failed(error: ExpressionError) -> Fault:
    """The fault of a step whose expression has no value; it quotes the expression, never the data."""
    return Fault("expression", 400, "Expression failed", str(error))


def _with_raw_output(scope: Mapping[str, Json], raw: Json) -> dict[str, Json]:
    task = scope.get("task")
    return {**scope, "task": {**task, "output": raw}} if isinstance(task, dict) else dict(scope)

"""How a step's raw output becomes its output and, with `export`, the new context. Runs wherever the output arises."""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.definitions.expressions import Expression, Json, Meter, Template
from domain.definitions.faults import Fault
from domain.definitions.program import Step
from domain.definitions.schemas import Schema
from domain.definitions.values import measure

#: The largest value that may enter the state, in bytes of JSON.
MAXIMUM_VALUE = 128 * 1024


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
    """Evaluate `output` and `export` in the order of the specification; raises Fault and ExpressionError."""
    scope = _with_raw_output(scope, raw)
    output = raw
    if step.flow.output_as is not None:
        output = evaluate(step.flow.output_as, raw, {**scope, "output": raw}, meter)
    refuse_problems(step.flow.output_schema, output, f"The output of step '{step.name}'")
    checked(output, f"The output of step '{step.name}'")
    if step.flow.export_as is None:
        return Shaped(output, exports=False)
    export = evaluate(step.flow.export_as, output, {**scope, "output": output}, meter)
    refuse_problems(step.flow.export_schema, export, f"What step '{step.name}' exports")
    checked(export, f"What step '{step.name}' exports")
    return Shaped(output, exports=True, export=export)


def evaluate(part: Expression | Template, value: Json, scope: Mapping[str, Json], meter: Meter) -> Json:
    return part.evaluate(value, scope, meter)


def checked(value: Json, what: str) -> Json:
    """Refuse a value too large for the state."""
    if measure(value, MAXIMUM_VALUE) > MAXIMUM_VALUE:
        raise Fault(
            "runtime",
            413,
            "Value too large",
            f"{what} is larger than {MAXIMUM_VALUE // 1024} KB; keep only what later steps need with"
            " `output.as`, or store it as a document and pass its id",
        )
    return value


def refuse_problems(schema: Schema | None, value: Json, what: str) -> None:
    if schema is None:
        return
    problems = schema.problems(value)
    if problems:
        listed = "; ".join(f"{problem.pointer or '/'}: {problem.message}" for problem in problems[:5])
        raise Fault("validation", 400, "Schema not satisfied", f"{what} does not fit its schema: {listed}")


def _with_raw_output(scope: Mapping[str, Json], raw: Json) -> dict[str, Json]:
    task = scope.get("task")
    return {**scope, "task": {**task, "output": raw}} if isinstance(task, dict) else dict(scope)

"""What a `switch` decides, case by case."""

from domain.definitions.graph.details import cases
from domain.definitions.outline import Step
from domain.definitions.phrases import visible

from .conditions import condition


def switch(step: Step, name: str) -> str:
    told, is_complete = [], False
    for label, case in cases(step.body):
        where = _where(case.get("then"))
        if "when" in case:
            told.append(f"if {condition(case['when'])} (“{visible(label, 40)}”), {where}")
        else:
            told.append(f"in every other case (“{visible(label, 40)}”), {where}" if told else where)
            is_complete = True
            break
    if not is_complete:
        told.append(f"otherwise, {_where(step.then)}")
    return f"{name} decides: {'; '.join(told)}."


def _where(then: object) -> str:
    match then:
        case "end":
            return "the workflow ends"
        case "exit":
            return "what follows in this list is left out"
        case str() if then != "continue":
            return f"it goes on with “{visible(then, 80)}”"
    return "it simply goes on"

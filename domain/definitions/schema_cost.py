"""Counting what an evaluation will cost, by walking the schema and the value together without evaluating."""

from typing import Any

from .schema_shape import Plan


class TooCostly(Exception):
    """The evaluation would take more steps than allowed."""


def count_steps(plan: Plan, value: Any, most: int) -> int:
    """Return an upper bound of the steps an evaluation takes; raises TooCostly above `most`.

    Every branch is counted as if nothing were ever decided early, so recursion through references that
    branches on the way down is met here and not in native code.
    """
    steps = 0
    stack: list[tuple[Plan, Any]] = [(plan, value)]
    while stack:
        current, part = stack.pop()
        steps += current.cost
        if current.here:
            for inner in current.here:
                stack.append((inner, part))
                if current.repeats:
                    stack.append((inner, part))
        if isinstance(part, dict):
            steps += _members(current, part, stack)
        elif isinstance(part, list):
            steps += _items(current, part, stack)
        elif isinstance(part, str) and current.text_cost:
            steps += 1 + (len(part) * current.text_cost >> 6)
        if steps + len(stack) > most:
            raise TooCostly
    return steps


def _members(plan: Plan, value: dict[str, Any], stack: list[tuple[Plan, Any]]) -> int:
    steps = len(value) if plan.members or plan.names or plan.name_cost else 0
    for name, inner in plan.properties.items():
        if name in value:
            if inner.leaf():
                steps += inner.cost
            else:
                stack.append((inner, value[name]))
    for inner in plan.members:
        if inner.leaf():
            steps += len(value) * inner.cost
        else:
            stack.extend((inner, member) for member in value.values())
    if plan.name_cost:
        steps += sum(map(len, value)) * plan.name_cost >> 6
    if plan.names is not None:
        names = plan.names
        stack.extend((names, name) for name in value)
    return steps


def _items(plan: Plan, value: list[Any], stack: list[tuple[Plan, Any]]) -> int:
    steps = 4 * len(value) if plan.unique else 0
    stack.extend(zip(plan.first_items, value, strict=False))
    for inner in plan.items:
        if inner.leaf():
            steps += len(value) * inner.cost
        else:
            stack.extend((inner, item) for item in value)
    return steps

"""The work of a step that calls a function: steps written once and called from many places."""

from dataclasses import dataclass

from domain.definitions.expressions import Template


@dataclass(frozen=True, slots=True)
class Function:
    """`block` holds the function's one step, shared by every call of it.

    Its input are the `arguments`; without any the function is given the input of the calling step.
    """

    name: str
    block: str
    arguments: Template | None

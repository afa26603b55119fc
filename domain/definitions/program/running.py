"""`run: workflow` is a call of one of two built-in actions, pinned by the engine itself."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from domain.actions import Effect, Lane
from domain.definitions.expressions import compile_template

from .parts import Call, PinnedAction

#: Registers another execution and waits for its outcome.
RUN: Final = PinnedAction("workflow.run", "1.0.0", Lane.EXECUTION, Effect.IDEMPOTENT, timedelta(days=365), {})
#: Only starts it.
START: Final = PinnedAction(
    "workflow.start", "1.0.0", Lane.SEGMENT, Effect.IDEMPOTENT, timedelta(seconds=10), {}
)


def run(process: Mapping[str, Any]) -> Call:
    """A step that does not wait has its own input as output, as the specification says."""
    waits = process.get("await", True)
    arguments = compile_template(process["workflow"])
    action = RUN if waits else START
    return Call(action.action, action, arguments, frozenset(), keeps_input=not waits)

"""Where one execution stands, as its workflow knows it."""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.definitions.faults import state_too_large
    from domain.definitions.program import ENGINE, Program
    from domain.definitions.state import State
    from domain.definitions.values import measure
    from domain.executions import ExecutionStatus

from workflows.details import step_table

#: The largest state that may travel; beyond it Temporal would retry the workflow task for ever.
MAXIMUM_STATE = 1024 * 1024


class Standing:
    def __init__(self) -> None:
        self.status = ExecutionStatus.RUNNING
        #: None until the definition has been read.
        self.program: Program | None = None
        self.state = State(engine=ENGINE, execution={}, context=None)
        #: Paused, and the mirror says so.
        self.is_held = False

    @property
    def shown(self) -> ExecutionStatus:
        return ExecutionStatus.PAUSED if self.is_held and not self.status.is_terminal else self.status

    def show(self, title: str) -> None:
        """The step table in the Temporal UI, only where an execution stands still: it costs time, people read it."""
        if self.program is not None:
            workflow.set_current_details(step_table(self.program, self.state, title))

    def travelling(self) -> dict[str, Any]:
        """The state as JSON. Raises Fault when it is too large to travel."""
        state = self.state.as_json()
        if measure(state, MAXIMUM_STATE) > MAXIMUM_STATE:
            raise state_too_large()
        return state

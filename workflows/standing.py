"""Where one execution stands, as its workflow knows it."""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.definitions.faults import state_too_large
    from domain.definitions.program import ENGINE, Program
    from domain.definitions.state import State
    from domain.definitions.values import measure
    from domain.executions import ExecutionStatus
    from domain.segments import MAXIMUM_STATE

from workflows.details import step_table


class Standing:
    def __init__(self, shown: str | None) -> None:
        #: None until the definition has been read.
        self.program: Program | None = None
        self.state = State(engine=ENGINE, execution={}, context=None)
        #: The wait for which the execution stands still, as the mirror has been told; None while it runs.
        self.shown = shown
        #: Paused, and the mirror says so.
        self.is_held = False
        #: The outcome that is being committed.
        self.ended: ExecutionStatus | None = None

    @property
    def status(self) -> ExecutionStatus:
        if self.ended is not None:
            return self.ended
        if self.is_held:
            return ExecutionStatus.PAUSED
        return ExecutionStatus.RUNNING if self.shown is None else ExecutionStatus.WAITING

    def runs(self) -> None:
        """Something is begun that is no wait: what it reports says that the execution runs."""
        self.shown = None

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

"""What the Temporal UI shows of an execution that stands still: its steps as a table."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.definitions.program import Program, Step
    from domain.definitions.state import State

#: Longer definitions are shown up to here; the run page knows them all.
MAXIMUM_ROWS = 100


def step_table(program: Program, state: State, title: str) -> str:
    """Markdown: every step of the definition with its kind and how far it is."""
    open_steps = {frame.pointer for frame in state.frames.values() if frame.kind == "step"}
    # What undoes a step has no frame of its own.
    asking = {state.frames[id].pointer for id in state.pending.values() if id in state.frames}
    steps = list(program.steps.values())
    rows = [
        f"| {_cell(step.name)} | {step.kind} | {_standing(step, state, open_steps, asking)} |"
        for step in steps[:MAXIMUM_ROWS]
    ]
    if len(steps) > MAXIMUM_ROWS:
        rows.append(f"| and {len(steps) - MAXIMUM_ROWS} more | | |")
    return "\n".join([f"**{_cell(title)}**", "", "| step | kind | status |", "|---|---|---|", *rows])


def _standing(step: Step, state: State, open_steps: set[str], asking: set[str]) -> str:
    visits = state.visits.get(step.pointer, 0)
    if step.pointer in asking:
        standing = "waiting"
    elif step.pointer in open_steps:
        standing = "open"
    else:
        standing = "done" if visits else ""
    return f"{standing} ({visits} times)" if visits > 1 else standing


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")

"""What a task answers in a dry run: the mocked decision, unless its deadline comes first."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from domain.definitions import durations
from domain.definitions.commands import CallAction
from domain.definitions.durations import InvalidDuration
from domain.definitions.faults import Fault
from domain.definitions.schemas import SchemaRefused, compile_schema
from domain.executions import TaskOutcome

from .mocks import NOBODY, Answer


@dataclass(frozen=True, slots=True)
class Reply:
    """`warning` says what the inbox would have refused."""

    answer: Answer
    warning: str | None = None


def reply(command: CallAction, answer: Answer) -> Reply:
    """The answer of the mock, or what becomes of a task that nobody decides before it is due."""
    task = command.arguments if isinstance(command.arguments, dict) else {}
    due = _due(task.get("due"))
    ending = task.get("on_overdue")
    comes_late = due is not None and (answer.is_missing or answer.after >= due)
    if due is not None and comes_late and ending == "fail":
        fault = Fault("timeout", 408, "Task overdue", f"nobody decided “{command.name}” in time")
        return Reply(Answer(fault=fault, after=due))
    if due is not None and comes_late and ending == "reject":
        rejected = {"outcome": TaskOutcome.REJECTED.value, "approved": False, **NOBODY, "decided_by": None}
        return Reply(Answer({**rejected, "overdue": True}, after=due))
    return Reply(answer, _misfit(command, task, answer.output))


def _due(given: Any) -> int | None:
    if given is None:
        return None
    try:
        return durations.parse(given) // timedelta(milliseconds=1)
    except InvalidDuration:
        return None


def _misfit(command: CallAction, task: Mapping[str, Any], output: Any) -> str | None:
    """Nobody can send what does not fit the form; a mock can."""
    form = task.get("form")
    if not isinstance(form, dict) or not isinstance(output, dict) or "outcome" not in output:
        return None
    data = output.get("data")
    if data is None and output["outcome"] == TaskOutcome.REJECTED:
        return None
    try:
        problems = compile_schema(form).problems(data if data is not None else {})
    except SchemaRefused as refusal:
        return f"The form of “{command.name}” cannot be used: {refusal}."
    if not problems:
        return None
    where = f" at {problems[0].pointer}" if problems[0].pointer else ""
    return f"The decision of “{command.name}” does not fit its form{where}: {problems[0].message}."

"""Waiting for another execution: its outcome comes as a signal, and whoever stops waiting asks it to end."""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.children import outcome
    from domain.definitions.commands import Completed, Failed

from workflows.contracts import executions as contract
from workflows.lineage import now


async def outcome_of(occurrence: str, answers: dict[str, Any]) -> Completed | Failed:
    """What came of the execution that this occurrence started."""
    await workflow.wait_condition(lambda: occurrence in answers)
    return outcome(answers.pop(occurrence), now())


async def recall(occurrence: str, answers: dict[str, Any]) -> None:
    """Ask the execution to end, and return when it has; at once where there is none, or none that will answer."""
    will_answer = await workflow.execute_local_activity(
        contract.cancel_child, occurrence, **contract.record_config(f"{occurrence} cancel", "Cancelling")
    )
    if will_answer:
        await workflow.wait_condition(lambda: occurrence in answers)
    answers.pop(occurrence, None)

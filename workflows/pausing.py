"""Holding still: nothing begins until somebody resumes. Waits go on, and what follows them waits."""

from typing import TYPE_CHECKING

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.definitions.commands import AwaitEvents, CallAction, Command, Finish, Sleep, Stop, Yield
    from domain.segments import Carried, NextStep, Pause, PauseEnd, most_telling

from workflows.contracts import executions as contract

if TYPE_CHECKING:
    from workflows.walk import Walk


async def hold_still(walk: "Walk") -> Carried | None:
    """Return when somebody has resumed the execution or asked for its end, or with what a new run begins with."""
    await _settle(walk)
    if not walk.is_paused:
        return None
    await _tell_pause(walk)
    while walk.is_paused:
        await walk.until(lambda: not walk.is_paused or walk.is_draining)
        if walk.is_paused:
            await _settle(walk)
            if (carried := await walk.carried()) is not None:
                return carried
    if not walk.is_cancelled:
        await _tell_resumption(walk)
    return None


async def _settle(walk: "Walk") -> None:
    """Take what comes of the activities that are still under way."""
    walk.stop_held()
    while walk.is_paused and not walk.flights.only_waits:
        await walk.until(lambda: walk.flights.has_landed or walk.flights.only_waits or not walk.is_paused)
        if walk.is_paused and walk.flights.has_landed:
            walk.tell(walk.flights.next())
            walk.stop_held()


async def _tell_pause(walk: "Walk") -> None:
    walk.standing.is_held = True
    walk.standing.show("Paused")
    if not walk.start.mirror:
        return
    await walk.journal.make_bearable()
    following = [_next_step(command) for command in walk.due]
    with walk.journal.riding(but={step.occurrence for step in following}) as records:
        await workflow.execute_local_activity(
            contract.begin_pause,
            Pause(following, most_telling(walk.flights.waits), records),
            **contract.record_config("pause", "Paused"),
        )


async def _tell_resumption(walk: "Walk") -> None:
    walk.standing.is_held = False
    wait = most_telling(walk.flights.waits)
    walk.standing.shown = None if wait is None else wait.occurrence
    walk.standing.show("Resumed")
    if not walk.start.mirror:
        return
    await walk.journal.make_bearable()
    with walk.journal.riding() as records:
        await workflow.execute_local_activity(
            contract.end_pause, PauseEnd(wait, records), **contract.record_config("resume", "Resumed")
        )


def _next_step(command: Command) -> NextStep:
    match command:
        case CallAction():
            return NextStep(command.occurrence, command.name, command.action)
        case Sleep():
            return NextStep(command.occurrence, command.name, "wait")
        case AwaitEvents():
            return NextStep(command.occurrence, command.name, "listen")
        case Stop():
            return NextStep(command.occurrence, "", "stop")
        case Yield():
            return NextStep("", "", "compute")
        case Finish():
            return NextStep("", "", "finish")

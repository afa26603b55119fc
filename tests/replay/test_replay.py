"""What customers' executions have in their histories is decided again in the same way, by every later version of us."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

from domain.definitions.faults import Fault
from domain.definitions.program import ENGINE
from tests.replay import reach
from tests.replay.histories import FOLDER, PLAIN, digest, manifest, name_of, read, recorded
from tests.replay.kinds import KINDS
from workflows.executions import ExecutionWorkflow
from workflows.mirror import MirrorInterceptor
from workflows.signals import SignalInterceptor

TEACHING = """
{name} {what}.

The files in tests/replay/histories are histories of real executions. In production there are many more of them, which
nobody can record again: an execution that began yesterday goes on with today's code. So these files are never changed
and never deleted. If a replay is red after a change of yours, make the change depend on `state.engine`: raise ENGINE in
domain/definitions/program/parts.py, let executions of earlier engines behave as they did, and add the histories of the
new one with `python -m tests.replay.record`. Restore this file with `git checkout tests/replay/histories`.
"""


def _replayer() -> Replayer:
    return Replayer(
        workflows=[ExecutionWorkflow],
        # The interpreter is pure; without the sandbox it need not be loaded for every history.
        workflow_runner=UnsandboxedWorkflowRunner(),
        interceptors=[SignalInterceptor(), MirrorInterceptor()],
        data_converter=PLAIN,
        workflow_failure_exception_types=[Fault],
    )


@pytest.mark.parametrize("path", recorded(), ids=name_of)
async def test_replayed_it_decides_the_same(path: Path) -> None:
    await _replayer().replay_workflow(read(path))


def test_no_recorded_history_was_changed() -> None:
    kept, there = manifest(), {name_of(path): digest(path) for path in recorded()}
    for name, expected in kept.items():
        assert name in there, TEACHING.format(name=name, what="is gone")
        assert there[name] == expected, TEACHING.format(name=name, what="is not as it was recorded")
    unknown = sorted(there.keys() - kept.keys())
    assert not unknown, (
        f"{unknown} stand in no manifest; record histories with `python -m tests.replay.record`"
    )


def test_every_kind_of_execution_is_recorded_for_the_current_engine() -> None:
    folder = FOLDER / f"engine-{ENGINE}"
    missing = [name for name in KINDS if not (folder / f"{name}.1.json").exists()]
    assert not missing, f"no history of {missing}; add them with `python -m tests.replay.record`"


async def test_nothing_that_executions_can_meet_lacks_a_history(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [path for path in recorded() if path.parent.name == f"engine-{ENGINE}"]
    met = reach.listen(monkeypatch)
    for path in paths:
        reach.read_of(path, met)

    async def histories() -> AsyncIterator[WorkflowHistory]:
        for path in paths:
            yield read(path)

    await _replayer().replay_workflows(histories())
    missing = {what: sorted(names - met[what]) for what, names in reach.possible().items()}
    lacking = {what: names for what, names in missing.items() if names}
    assert not lacking, (
        f"no history has met {lacking}; add a kind of execution to tests/replay/kinds*.py that does, and record it "
        "with `python -m tests.replay.record`"
    )


def test_every_engine_version_has_histories() -> None:
    assert {path.parent.name for path in recorded()} == {f"engine-{n}" for n in range(1, ENGINE + 1)}


@pytest.mark.parametrize(
    ("kind", "place", "changed"),
    [
        ("calls", "domain.definitions.frames.occurrence_name", lambda pointer, visit: f"{pointer}/{visit}"),
        ("retry", "domain.definitions.interpreter.retries.delay", lambda *_: None),
        ("timeout-caught", "domain.definitions.interpreter.timeouts.strike", lambda _: None),
    ],
)
async def test_a_changed_interpreter_is_noticed(
    monkeypatch: pytest.MonkeyPatch, kind: str, place: str, changed: object
) -> None:
    history = read(FOLDER / "engine-1" / f"{kind}.1.json")
    await _replayer().replay_workflow(history)
    monkeypatch.setattr(place, changed)
    with pytest.raises((NondeterminismError, RuntimeError)):  # other commands, or an answer to something else
        await asyncio.wait_for(_replayer().replay_workflow(history), 20)


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    first = recorded()[0]
    kept = json.loads(first.read_text())
    kept["history"]["events"].pop()
    copy = tmp_path / "copy.json"
    copy.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    assert digest(copy) != manifest()[name_of(first)]


def test_recorded_histories_name_no_machine() -> None:
    for path in recorded():
        text = path.read_text()
        assert 'File \\"/' not in text, f"{path} quotes a stack with absolute paths"
        assert "@" not in "".join(line for line in text.splitlines() if '"identity"' in line), path

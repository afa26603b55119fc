"""House rules as small tests; each message says what to do instead."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from activities.actions.registry import built_in
from activities.executions import ExecutionActivities
from domain.actions import Lane
from workflows.contracts import executions as contract

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW_MODULES = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for file in (ROOT / "workflows").rglob("*.py")
)
FORBIDDEN_IN_DOMAIN = {
    "datetime.now": "take the time as an argument",
    "datetime.utcnow": "take the time as an argument",
    "time.time": "take the time as an argument",
    "time.monotonic": "count work instead of measuring time",
    "uuid.uuid4": "take the id as an argument, or derive it with domain.ids.derived_id",
    "uuid4": "take the id as an argument, or derive it with domain.ids.derived_id",
    "random.random": "take what was drawn as an argument",
    "os.environ": "workers/settings.py is the only reader of the environment",
    "os.getenv": "workers/settings.py is the only reader of the environment",
    "open": "effects belong to activities/",
    "print": "effects belong to activities/",
}


#: Imports one module after another, and ends at the first that brings a driver along.
PROBE = """
import importlib, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
    found = {"asyncpg", "sqlalchemy"} & {name.split(".")[0] for name in sys.modules}
    if found:
        sys.exit(f"{module} imports {', '.join(sorted(found))}")
"""


def test_no_workflow_module_pulls_in_a_database_driver() -> None:
    """asyncpg from 0.31 on crashes the process when Temporal's sandbox imports it again."""
    assert "workflows.executions" in WORKFLOW_MODULES
    probe = [sys.executable, "-c", PROBE, *WORKFLOW_MODULES]
    done = subprocess.run(probe, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, f"{done.stderr.strip()}; move that import into activities/"


def test_the_contract_and_its_implementation_agree() -> None:
    for name in ("run_segment", "begin_wait", "record_steps", "finish_execution"):
        stub, real = getattr(contract, name), getattr(ExecutionActivities, name)
        promised, given = inspect.signature(stub), inspect.signature(real)
        parameters = list(given.parameters.values())[1:]
        assert [p.annotation for p in promised.parameters.values()] == [p.annotation for p in parameters], (
            name
        )
        assert promised.return_annotation == given.return_annotation, name
        assert stub.__temporal_activity_definition.name == real.__temporal_activity_definition.name


def test_every_action_of_its_own_has_an_activity_of_its_name() -> None:
    """Operators read an execution in the Temporal UI by these names."""
    registry = built_in()
    names = {spec.name for spec in registry.specs() if spec.lane is Lane.ACTIVITY}
    activities = ExecutionActivities.__new__(ExecutionActivities)
    activities._registry = registry
    registered = {method.__temporal_activity_definition.name for method in activities.all()}
    assert names <= registered


@pytest.mark.parametrize(
    "file", sorted((ROOT / "domain").rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT))
)
def test_the_domain_has_no_clock_no_chance_and_no_effects(file: Path) -> None:
    for call, line in _calls(ast.parse(file.read_text())):
        mend = FORBIDDEN_IN_DOMAIN.get(call)
        assert mend is None, f"{file.relative_to(ROOT)}:{line} calls {call}: {mend}"


def _calls(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node), node.lineno


def test_no_committed_file_names_this_machine_or_an_index() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout.split("\0")
    for name in filter(None, listed):
        if name.endswith((".png", ".ico")):
            continue
        text = (ROOT / name).read_text(errors="replace")
        assert f"{ROOT}/" not in text, f"{name} names a path of this machine"
        if "lock" in name:
            assert "://" not in text, f"{name} holds a download address"

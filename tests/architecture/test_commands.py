"""The table of commands: it says of each what each says of itself, and calling one imports no more than it needs."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup

from perdure.cli.app import COMMANDS, load

ROOT = Path(__file__).resolve().parents[2]
#: What takes long to import, and talking to a server does not need.
HEAVY = ("sqlalchemy", "temporalio", "fastapi", "asyncpg", "jsonschema_rs", "boto3")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_of_itself_what_the_table_says(name: str) -> None:
    command = load(name)
    assert (command.name, (command.help or "").split("\n\n")[0]) == (name, COMMANDS[name][1])


def test_commands_that_others_define_are_there() -> None:
    executions = load("executions")
    assert isinstance(executions, TyperGroup)
    assert {"list", "rerun", "bulk"} <= set(executions.commands)


@pytest.mark.parametrize("name", ["executions", "tasks", "events", "secrets"])
def test_asking_a_server_does_not_wait_for_the_engine(name: str) -> None:
    probe = (
        "import sys; from perdure.cli.app import load; load(sys.argv[1]); "
        f"print(*sorted(set(sys.modules) & set({HEAVY})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, name], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == ""

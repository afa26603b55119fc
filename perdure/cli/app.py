"""The commands and their names. One is imported when it is called: a word of help does not wait for the engine."""

from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

#: Name → where it is defined, and what it says of itself. Behind a comma: modules that add their commands to it.
COMMANDS: Final = {
    "up": ("stack:up", "Start everything on this machine and serve until Ctrl-C."),
    "demo": (
        "stack:demo",
        "Start everything, run the demo on its sample input, stop; exit 0 only if every execution completed.",
    ),
    "down": ("stack:down", "Stop the stack of a data directory, in order; its data stays."),
    "status": ("stack:status", "Show the parts of a stack; exit 0 only when all of them run."),
    "bench": (
        "bench:bench",
        "Measure Perdure, DBOS and plain Temporal in one interleaved run; exit 0 when the run is whole.",
    ),
    "doctor": ("doctor:doctor", "Check every dependency and say what to do; exit 0 when nothing failed."),
    "env": ("env:env", "Print fresh secrets for docker-compose.yml as an environment file."),
    "migrate": (
        "migrate:migrate",
        "Upgrade or downgrade PERDURE_DATABASE_DIRECT_URL, or without it the stack's own database; or import into it.",
    ),
    "rotate-keys": (
        "rotate:rotate_keys",
        "Rotate keys under load: PERDURE_DATABASE_URL and PERDURE_MASTER_KEYS, or the stack's own.",
    ),
    "serve": ("processes:serve", "Run the API (reads PERDURE_ variables, see .env.example)."),
    "worker": ("processes:worker", "Run a Temporal worker."),
    "relay": (
        "processes:relay",
        "Run the relay: delivers what was accepted but has not reached Temporal yet.",
    ),
    "hooks": ("hooks:app", "Webhook triggers."),
    "events": ("events:app", "CloudEvents, and what they started."),
    "executions": ("executions:app,reruns,bulk", "What runs and ran."),
    "organizations": ("organizations:app", "Organizations, as the platform's operators see them."),
    "schedules": ("schedules:app", "What starts by the clock."),
    "secrets": ("secrets:app", "Secrets that definitions read as $secrets.<name>."),
    "tasks": ("tasks:app", "What executions ask people."),
    "workflows": ("workflows:app", "Definitions as YAML or JSON files."),
}


class Commands(TyperGroup):
    """Lists what the table says, and loads what is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed if name is None else load(name), rest


def load(name: str) -> TyperCommand | TyperGroup:
    """The command itself, from its module."""
    place, *further = COMMANDS[name][0].split(",")
    module, attribute = place.split(":")
    found = getattr(import_module(f"perdure.cli.{module}"), attribute)
    for each in further:
        import_module(f"perdure.cli.{each}")
    holder = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name)(found)
        holder.callback()(_listed)  # two words, so that a single command keeps its name
    command = typer.main.get_group(holder).commands[name]
    assert isinstance(command, TyperCommand | TyperGroup)
    return command


def _listed() -> None:
    """Stands for a command where commands are listed."""


app = typer.Typer(
    cls=Commands,
    help="Perdure: durable workflows for many tenants.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _name, (_, _help) in COMMANDS.items():
    app.command(_name, help=_help)(_listed)

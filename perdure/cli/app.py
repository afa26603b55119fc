"""The commands and their names."""

import typer

from perdure.cli import (
    bench,
    bulk,
    doctor,
    env,
    events,
    executions,
    hooks,
    migrate,
    organizations,
    processes,
    reruns,
    rotate,
    schedules,
    secrets,
    stack,
    tasks,
    workflows,
)

app = typer.Typer(
    help="Perdure: durable workflows for many tenants.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("up")(stack.up)
app.command("demo")(stack.demo)
app.command("down")(stack.down)
app.command("status")(stack.status)
app.command("bench")(bench.bench)
app.command("doctor")(doctor.doctor)
app.command("env")(env.env)
app.command("migrate")(migrate.migrate)
app.command("rotate-keys")(rotate.rotate_keys)
app.command("serve")(processes.serve)
app.command("worker")(processes.worker)
app.command("relay")(processes.relay)
app.add_typer(hooks.app, name="hooks")
app.add_typer(events.app, name="events")
# `bulk` and `reruns` add their commands to those of `executions`.
assert bulk.executions is reruns.app is executions.app
app.add_typer(executions.app, name="executions")
app.add_typer(organizations.app, name="organizations")
app.add_typer(schedules.app, name="schedules")
app.add_typer(secrets.app, name="secrets")
app.add_typer(tasks.app, name="tasks")
app.add_typer(workflows.app, name="workflows")

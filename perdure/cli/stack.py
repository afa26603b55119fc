"""`up`, `demo`, `down`, `status`: the embedded stack."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from perdure.cli import foreground
from perdure.cli.output import AsJson, DataDir, Progress, emit, err, explained, out
from workers.devstack import control
from workers.devstack.errors import StackError
from workers.devstack.stack import Stack
from workers.devstack.state import DEFAULT_FOLDER

Port = Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Port of the API and console.")]


def up(
    data_dir: DataDir = DEFAULT_FOLDER,
    port: Port = None,
    with_demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Run the demo first.")] = True,
    as_json: AsJson = False,
) -> None:
    """Start everything on this machine and serve until Ctrl-C."""
    with explained(as_json):
        try:
            foreground.run(_serve(data_dir, port, with_demo, as_json))
        except foreground.Interrupted:
            err.print("Stopped. The data stays; `perdure up` continues where it was.")


async def _serve(data_dir: Path, port: int | None, with_demo: bool, as_json: bool) -> None:
    stack = Stack(data_dir, port=port)
    try:
        await _start(stack)
        report = await _demo(stack, as_json) if with_demo else None
        if as_json:
            emit({"urls": stack.urls, "files": stack.files, "demo": report})
        else:
            _show_addresses(stack)
        await asyncio.Event().wait()
    finally:
        with Progress("Stopping") as progress:
            progress.say("stopping")
            await stack.stop()


def demo(data_dir: DataDir = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Start everything, run the demo on its sample input, stop; exit 0 only if every execution completed."""
    with explained(as_json):
        try:
            report = foreground.run(_demo_only(data_dir, as_json))
        except foreground.Interrupted as interrupted:
            raise typer.Exit(128 + interrupted.number) from None
    if as_json:
        emit(report)
    if not report["completed"]:
        err.print("Not every demo execution completed.")
        raise typer.Exit(1)


async def _demo_only(data_dir: Path, as_json: bool) -> dict[str, Any]:
    stack = Stack(data_dir)
    try:
        await _start(stack)
        return await _demo(stack, as_json)
    finally:
        await stack.stop()


async def _start(stack: Stack) -> None:
    with Progress("Starting") as progress:
        stack.report = progress.say
        await stack.start()


async def _demo(stack: Stack, as_json: bool) -> dict[str, Any]:
    """Run the demo; its report holds at least `completed`."""
    # late: it loads clients that `status` and `down` do without
    from perdure.cli.demo import run_demo  # noqa: PLC0415
    from perdure.cli.demo_http import DemoFailed  # noqa: PLC0415

    try:
        return await run_demo(stack, console=err if as_json else out)
    except DemoFailed as failure:
        raise StackError(f"The demo failed: {failure}.", f"See {stack.files['logs']}.") from None


def _show_addresses(stack: Stack) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for label, name in (("console", "login"), ("API docs", "api_docs"), ("Temporal UI", "temporal_ui")):
        table.add_row(label, stack.urls[name])
    table.add_row("logs", stack.files["logs"])
    table.add_row("mail", stack.files["mail"])
    out.print(table)
    out.print("Serving until Ctrl-C.")


def down(data_dir: DataDir = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Stop the stack of a data directory, in order; its data stays."""
    with explained(as_json), Progress("Stopping") as progress:
        progress.say("stopping")
        stopped = control.stop(data_dir)
    if as_json:
        emit({"stopped": stopped})
    else:
        out.print("Stopped." if stopped else f"No stack is running on {data_dir}.", markup=False)


def status(data_dir: DataDir = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Show the parts of a stack; exit 0 only when all of them run."""
    with explained(as_json):
        report = control.inspect(data_dir)
    if as_json:
        emit(report.details | {"running": report.running, "healthy": report.healthy})
    elif not report.running:
        out.print(f"No stack is running on {data_dir}; `perdure up` starts one.", markup=False)
    else:
        _show_parts(report.details)
    raise typer.Exit(0 if report.healthy else 1)


def _show_parts(details: dict[str, Any]) -> None:
    out.print(f"Stack on {details['data_dir']}, supervisor pid {details['supervisor_pid']}", markup=False)
    table = Table("part", "status", "pid", "restarts")
    for name, part in details["parts"].items():
        table.add_row(name, part["status"], str(part["pid"]), str(part["restarts"]))
    out.print(table)
    for name in ("login", "api_docs", "temporal_ui"):
        out.print(f"{name:12} {details['urls'][name]}", markup=False)

"""`workflows`: definitions as files: check, compare, try, publish and start them."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from activities.actions.registry import built_in
from domain.definitions.diff import Diff, Side, as_text, compare
from domain.definitions.explain import explain as explained_in_words
from domain.definitions.graph import as_json as graph_as_json
from domain.definitions.graph import draw, lay_out, positioned, project
from domain.definitions.phrases import counted
from domain.definitions.program import load_program
from domain.definitions.publishing import publish
from domain.definitions.validation import validate as problems_of
from domain.errors import Invalid, Problem
from perdure.cli.api import Client
from perdure.cli.asking import asking
from perdure.cli.output import AsJson, emit, err, explained, line, out
from perdure.cli.workflow_cases import Result, read_cases, run_case
from perdure.cli.workflow_files import WorkflowFile, read
from perdure.cli.workflow_pull import pull
from perdure.cli.workflow_push import push
from perdure.cli.workflow_run import run
from perdure.cli.workflow_stored import File, find
from workers.devstack.errors import StackError

app = typer.Typer(help="Definitions as YAML or JSON files.", no_args_is_help=True)
app.command("push")(push)
app.command("pull")(pull)
app.command("run")(run)


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(help="Workflows as YAML or JSON.")],
    as_json: AsJson = False,
) -> None:
    """Check files against the language and the built-in actions; needs no server. Exit 1 when one has an error."""
    with explained(as_json):
        found = [(each, _problems(each)) for each in map(read, files)]
    listed = [_located(file, problem) for file, problems in found for problem in problems]
    errors = sum(1 for each in listed if each["severity"] == "error")
    if as_json:
        emit({"valid": not errors, "problems": listed})
    else:
        for each in listed:
            _tell(err, each)
        checked = counted(len(files), "file")
        line(
            out, f"{checked} checked: {counted(errors, 'error')}, {counted(len(listed) - errors, 'warning')}."
        )
    raise typer.Exit(1 if errors else 0)


@app.command("test")
def run_cases(
    file: File,
    cases: Annotated[
        Path | None, typer.Option(help="The cases; beside FILE as NAME.test.yaml when absent.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option("--case", help="Only this case; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Carry out the cases of a workflow in memory, with the world mocked. Exit 1 when one fails."""
    with explained(as_json):
        workflow = read(file)
        listed = read_cases(cases or _beside(file))
        chosen = [each for each in listed if not only or each.name in only]
        if not chosen:
            raise StackError(
                "No case has this name.", f"There are {', '.join(each.name for each in listed)}."
            )
        catalogue = built_in().specs()
        program = load_program(_published(workflow)["compiled"])
        results = [run_case(program, catalogue, each) for each in chosen]
    if as_json:
        emit({"passed": all(each.passed for each in results), "cases": [each.as_json() for each in results]})
    else:
        _show_results(results)
    raise typer.Exit(0 if all(each.passed for each in results) else 1)


@app.command()
def graph(
    file: File,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write the SVG.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw a workflow as SVG, or tell its nodes and edges with --json."""
    with explained(as_json):
        workflow = read(file)
        try:
            projected = project(workflow.definition, workflow.name, actions=workflow.parts.get("actions"))
            laid = positioned(lay_out(projected), workflow.parts.get("layout"))
        except Invalid as refused:
            raise _refused(workflow, refused.problems) from None
        if as_json:
            emit(graph_as_json(laid))
        elif output is None:
            line(out, draw(laid))
        else:
            try:
                output.write_text(draw(laid) + "\n", "utf-8")
            except OSError as error:
                raise StackError(
                    f"{output} cannot be written: {error.strerror}.", "Name another file."
                ) from None
            line(err, f"Drawn to {output}.")


@app.command()
@asking
def diff(
    perdure: Client,
    file: File,
    other: Annotated[Path | None, typer.Argument(help="Another file; what is stored when absent.")] = None,
    workflow: Annotated[
        str | None, typer.Option(help="Id of the stored workflow; found by name when absent.")
    ] = None,
) -> None:
    """Compare a file with another, or with what is stored. Exit 1 when they differ."""
    local = read(file)
    if other is not None:
        found = compare(_side(local), _side(read(other)))
    else:
        found = compare(_stored_side(find(perdure, workflow or local.name), local), _side(local))
    _show_diff(found, perdure.as_json)
    raise typer.Exit(0 if found.is_empty else 1)


@app.command()
def explain(file: File, as_json: AsJson = False) -> None:
    """Tell in plain English what a workflow does."""
    with explained(as_json):
        workflow = read(file)
        try:
            told = explained_in_words(
                workflow.definition,
                title=workflow.name,
                triggers=workflow.parts.get("triggers"),
                actions=workflow.parts.get("actions"),
                catalogue=built_in().specs(),
            )
        except Invalid as refused:
            raise _refused(workflow, refused.problems) from None
    if as_json:
        emit(told.as_json())
    else:
        line(out, told.text.rstrip())


def _problems(file: WorkflowFile) -> list[Problem]:
    parts = file.parts
    return problems_of(
        file.definition,
        triggers=parts.get("triggers"),
        actions=parts.get("actions"),
        variables=parts.get("variables"),
        catalogue=built_in().specs(),
    )


def _published(file: WorkflowFile) -> dict[str, Any]:
    """Raises StackError telling where the file is wrong."""
    parts = file.parts
    try:
        published = publish(
            file.definition,
            name=file.name,
            namespace="default",
            triggers=parts.get("triggers"),
            actions=parts.get("actions"),
            variables=parts.get("variables"),
            catalogue=built_in().specs(),
        )
    except Invalid as refused:
        raise _refused(file, refused.problems) from None
    return {"compiled": published.compiled}


def _refused(file: WorkflowFile, problems: Any) -> StackError:
    errors = [each for each in problems if each.severity == "error"]
    told = []
    for each in errors[:5]:
        row, column = file.locate(each.pointer)
        told.append(f"{file.path}:{row}:{column}: {each.message}")
    return StackError(" ".join(told), errors[0].suggestion or "See `perdure workflows validate`.")


def _located(file: WorkflowFile, problem: Problem) -> dict[str, Any]:
    row, column = file.locate(problem.pointer)
    told = {"file": str(file.path), "line": row, "column": column, "pointer": problem.pointer}
    return {
        **told,
        "severity": problem.severity,
        "code": problem.code,
        "message": problem.message,
        "suggestion": problem.suggestion,
    }


def _tell(console: Console, each: dict[str, Any]) -> None:
    colour = "red" if each["severity"] == "error" else "yellow"
    console.print(
        Text(f"{each['file']}:{each['line']}:{each['column']}:"),
        Text(each["severity"], colour),
        end="",
        soft_wrap=True,
    )
    line(console, f" {each['message']} {each['suggestion'] or ''}".rstrip() + f" [{each['code']}]")


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.stem}.test.yaml")


def _show_results(results: list[Result]) -> None:
    table = Table("case", "result", "steps", "simulated", "why")
    for each in results:
        verdict = Text("passed", "green") if each.passed else Text("failed", "bold red")
        steps = "" if each.run is None else str(len(each.run.trace))
        took = "" if each.run is None else _took(each.run.ended - each.run.started)
        table.add_row(Text(each.case.name), verdict, steps, took, Text("\n".join(each.failures)))
    out.print(table)
    failed = sum(1 for each in results if not each.passed)
    line(out, f"{counted(len(results), 'case')}: {len(results) - failed} passed, {failed} failed.")


def _took(milliseconds: int) -> str:
    seconds = milliseconds // 1000
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    told = [f"{days} d"] * bool(days) + [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes)
    return " ".join(told) or f"{seconds} s"


def _side(file: WorkflowFile) -> Side:
    parts = file.parts
    return Side(file.definition, parts.get("triggers"), parts.get("actions"), parts.get("variables"))


def _stored_side(row: dict[str, Any], local: WorkflowFile) -> Side:
    """A bare document says nothing of what stands beside it."""
    if local.is_bare:
        return Side(row["definition"])
    return Side(row["definition"], row["triggers"], row["actions"], row["variables"])


def _show_diff(found: Diff, as_json: bool) -> None:
    if as_json:
        emit(found.as_json())
        return
    styles = {"+": "green", "-": "red", ">": "cyan", "=": "cyan", "~": "yellow"}
    for each in as_text(found).splitlines():
        out.print(Text(each, styles.get(each[:1], "")), soft_wrap=True)

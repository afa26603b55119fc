"""`schedules`: list, show, occurrences, next, pause, resume, run, backfill."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from domain.errors import Invalid
from domain.schedules.plan import Plan
from perdure.cli.api import Api, Key, client
from perdure.cli.output import AsJson, DataDir, emit, explained, facts, line, out
from workers.devstack.errors import StackError
from workers.devstack.stack import DEFAULT_FOLDER

app = typer.Typer(help="What starts by the clock.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The schedule's id: that of its trigger.")]
COLOURS = {
    "active": "green",
    "ran": "green",
    "backfilled": "green",
    "paused": "magenta",
    "missed": "red",
    "broken": "red",
    "skipped": "yellow",
    "buffered": "cyan",
}


@app.command("list")
def list_schedules(
    *,
    workflow: Annotated[str | None, typer.Option(help="Only of this workflow's id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    api: Api = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """When each is due next, and what became of the time before."""
    with explained(as_json), client(api, key, data_dir) as perdure:
        items = perdure.get("/v1/schedules", workflow_id=workflow, limit=limit)["items"]
    if as_json:
        emit(items)
        return
    table = Table("id", "workflow", "when", "state", "next", "last")
    for each in items:
        last = each["last"]
        told = Text("-") if last is None else _shown(last["status"]).append(f" {_moment(last['nominal_at'])}")
        when = Text(f"{each['in_words']} ({each['time_zone']})")
        name = Text(each["workflow_name"])
        table.add_row(each["id"], name, when, _shown(each["state"]), _moment(each["next_at"]), told)
    out.print(table)


@app.command()
def show(
    id: Id, api: Api = None, key: Key = None, data_dir: DataDir = DEFAULT_FOLDER, as_json: AsJson = False
) -> None:
    """One schedule with its next times."""
    with explained(as_json), client(api, key, data_dir) as perdure:
        schedule = perdure.get(f"/v1/schedules/{id}")
    if as_json:
        emit(schedule)
    else:
        facts(out, _facts(schedule))


@app.command()
def occurrences(
    *,
    id: Id,
    status: Annotated[
        list[str] | None, typer.Option(help="ran, buffered, skipped, missed, backfilled; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    api: Api = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """What became of each of its times, the latest first."""
    with explained(as_json), client(api, key, data_dir) as perdure:
        items = perdure.get(f"/v1/schedules/{id}/occurrences", status=status, limit=limit)["items"]
    if as_json:
        emit(items)
        return
    table = Table("time", "became", "because", "execution")
    for each in items:
        because = each["because"] or ("caught up" if each["caught_up"] else "")
        table.add_row(
            _moment(each["nominal_at"]), _shown(each["status"]), Text(because), each["execution_id"] or "-"
        )
    out.print(table)


@app.command("next")
def next_times(
    *,
    cron: Annotated[str | None, typer.Option(help="Five fields, or a word such as @daily.")] = None,
    every: Annotated[str | None, typer.Option(help="A duration, counted from --since.")] = None,
    time_zone: Annotated[str, typer.Option(help="Whose clock a cron expression means.")] = "UTC",
    since: Annotated[datetime | None, typer.Option(help="A moment in UTC; now, if it is not said.")] = None,
    count: Annotated[int, typer.Option(min=1, max=1_000)] = 5,
    as_json: AsJson = False,
) -> None:
    """When something would be due, worked out here: nothing is asked, and nothing is stored."""
    after = (since or datetime.now(UTC)).replace(tzinfo=UTC)
    given = {"cron": cron, "every": every, "time_zone": time_zone}
    with explained(as_json):
        try:
            plan = Plan.parse({name: value for name, value in given.items() if value is not None}, time_zone)
        except Invalid as refusal:
            raise StackError(
                refusal.message, 'For example --cron "0 9 * * 1-5", or --every "90 minutes".'
            ) from None
        found = list(islice(plan.upcoming(after, after), count))
    if as_json:
        emit([each.isoformat() for each in found])
        return
    for each in found:
        line(out, f"{each.astimezone(plan.zone):%a %Y-%m-%d %H:%M %Z}  {each:%Y-%m-%d %H:%M} UTC")


@app.command()
def pause(
    *,
    id: Id,
    reason: Annotated[str | None, typer.Option(help="Shown to who looks at it.")] = None,
    api: Api = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Nothing starts by its clock until it is resumed."""
    with explained(as_json), client(api, key, data_dir) as perdure:
        schedule = perdure.post(f"/v1/schedules/{id}/pause", {"reason": reason})
    _told(schedule, as_json, "It is paused.")


@app.command()
def resume(
    id: Id, api: Api = None, key: Key = None, data_dir: DataDir = DEFAULT_FOLDER, as_json: AsJson = False
) -> None:
    """It fires again from its next time on."""
    with explained(as_json), client(api, key, data_dir) as perdure:
        schedule = perdure.post(f"/v1/schedules/{id}/resume")
    _told(schedule, as_json, f"It is resumed; next: {_moment(schedule['next_at'])}.")


@app.command()
def run(
    id: Id, api: Api = None, key: Key = None, data_dir: DataDir = DEFAULT_FOLDER, as_json: AsJson = False
) -> None:
    """Start one execution now."""
    with explained(as_json), client(api, key, data_dir) as perdure:
        accepted = perdure.post(f"/v1/schedules/{id}/run")
    _told(accepted, as_json, f"Execution {accepted['id']} is {accepted['status']}.")


@app.command()
def backfill(
    *,
    id: Id,
    since: Annotated[datetime, typer.Option("--from", help="In UTC, for example 2026-11-23T09:00.")],
    to: Annotated[datetime, typer.Option(help="In UTC.")],
    side_by_side: Annotated[bool, typer.Option(help="All at once instead of one after the other.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before starting.")] = False,
    api: Api = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Start times of the past that did not start; how many is shown first."""
    span = {"from": since.replace(tzinfo=UTC).isoformat(), "to": to.replace(tzinfo=UTC).isoformat()}
    with explained(as_json), client(api, key, data_dir) as perdure:
        count = perdure.get(f"/v1/schedules/{id}/backfill", **span)["count"]
        if count and not (yes or as_json or _sure(count)):
            raise StackError("Nothing was started.", "Say --yes to start without being asked.")
        asked = {**span, "expected": count, "side_by_side": side_by_side}
        done = perdure.post(f"/v1/schedules/{id}/backfill", asked)
    _told(done, as_json, f"{done['count']} executions start; {done['already_started']} had started before.")


def _sure(count: int) -> bool:
    return typer.confirm(f"Start {count} executions?", err=True)


def _told(value: Any, as_json: bool, sentence: str) -> None:
    if as_json:
        emit(value)
    else:
        line(out, sentence)


def _facts(schedule: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "workflow", f"{schedule['workflow_name']} ({schedule['workflow_id']})"
    yield "when", f"{schedule['in_words']} ({schedule['time_zone']})"
    yield "state", schedule["state"]
    for name in ("paused_at", "pause_reason", "problem", "waits_for"):
        if schedule[name]:
            yield name.replace("_", " "), str(schedule[name])
    yield "next", ", ".join(_moment(each) for each in schedule["upcoming"]) or "-"
    if schedule["last"]:
        yield "last", f"{schedule['last']['status']} {_moment(schedule['last']['nominal_at'])}"
    if schedule["last_missed"]:
        yield "last missed", _moment(schedule["last_missed"]["nominal_at"])
    if schedule["backfilling"]:
        yield "backfill", f"{schedule['backfilling']} wait to start"


def _shown(state: str) -> Text:
    return Text(state, COLOURS.get(state, ""))


def _moment(written: str | None) -> str:
    return "-" if written is None else written[:16].replace("T", " ")

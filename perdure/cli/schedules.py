"""`schedules`: list, show, occurrences, next, pause, resume, run, backfill, withdraw."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

import typer
from rich.text import Text

from domain.definitions.phrases import counted
from domain.errors import Invalid
from domain.schedules.plan import Plan
from perdure.cli.api import Client
from perdure.cli.asking import asking
from perdure.cli.given import agreed
from perdure.cli.output import AsJson, emit, explained, facts, line, listing, moment, out, state
from workers.devstack.errors import StackError

app = typer.Typer(help="What starts by the clock.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The schedule's id: that of its trigger.")]


@app.command("list")
@asking
def list_schedules(
    perdure: Client,
    *,
    workflow: Annotated[str | None, typer.Option(help="Only of this workflow's id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
) -> None:
    """When each is due next, and what became of the time before."""
    perdure.answer(perdure.get("/v1/schedules", workflow_id=workflow, limit=limit)["items"], _tell_list)


@app.command()
@asking
def show(perdure: Client, id: Id) -> None:
    """One schedule with its next times."""
    perdure.answer(perdure.get(f"/v1/schedules/{id}"), lambda schedule: facts(out, _facts(schedule)))


@app.command()
@asking
def occurrences(
    perdure: Client,
    *,
    id: Id,
    status: Annotated[
        list[str] | None, typer.Option(help="ran, buffered, skipped, missed, backfilled; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
) -> None:
    """What became of each of its times, the latest first."""
    page = perdure.get(f"/v1/schedules/{id}/occurrences", status=status, limit=limit)
    perdure.answer(page["items"], _tell_occurrences)


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
@asking
def pause(
    perdure: Client,
    id: Id,
    reason: Annotated[str | None, typer.Option(help="Shown to who looks at it.")] = None,
) -> None:
    """Nothing starts by its clock until it is resumed."""
    schedule = perdure.post(f"/v1/schedules/{id}/pause", {"reason": reason})
    perdure.answer(schedule, lambda _: line(out, "It is paused."))


@app.command()
@asking
def resume(perdure: Client, id: Id) -> None:
    """It fires again from its next time on."""
    schedule = perdure.post(f"/v1/schedules/{id}/resume")
    perdure.answer(schedule, lambda now: line(out, f"It is resumed; next: {_due(now['next_at'])}."))


@app.command()
@asking
def run(perdure: Client, id: Id) -> None:
    """Start one execution now."""
    accepted = perdure.post(f"/v1/schedules/{id}/run")
    perdure.answer(accepted, lambda begun: line(out, f"Execution {begun['id']} is {begun['status']}."))


@app.command()
@asking
def backfill(
    perdure: Client,
    *,
    id: Id,
    since: Annotated[datetime, typer.Option("--from", help="In UTC, for example 2026-11-23T09:00.")],
    to: Annotated[datetime, typer.Option(help="In UTC.")],
    side_by_side: Annotated[bool, typer.Option(help="All at once instead of one after the other.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before starting.")] = False,
) -> None:
    """Start times of the past that did not start; how many is shown first."""
    span = {"from": since.replace(tzinfo=UTC).isoformat(), "to": to.replace(tzinfo=UTC).isoformat()}
    count = perdure.get(f"/v1/schedules/{id}/backfill", **span)["count"]
    if count and not yes:
        nobody = f"{counted(count, 'execution')} would start, and nobody can be asked here."
        agreed(f"Start {counted(count, 'execution')}?", StackError(nobody, "Add --yes to start them."))
    asked = {**span, "expected": count, "side_by_side": side_by_side}
    done = perdure.post(f"/v1/schedules/{id}/backfill", asked)
    told = f"{counted(done['count'], 'execution')} start; {done['already_started']} had started before."
    perdure.answer(done, lambda _: line(out, told))


@app.command()
@asking
def withdraw(perdure: Client, id: Id) -> None:
    """Start nothing more of a backfill; what has started goes on."""
    withdrawn = perdure.delete(f"/v1/schedules/{id}/backfill")
    told = f"{counted(withdrawn['withdrawn'], 'execution')} will not start."
    perdure.answer(withdrawn, lambda _: line(out, told))


def _tell_list(schedules: list[dict[str, Any]]) -> None:
    listing(
        ("id", "workflow", "when", "state", "next", "last"),
        (
            (
                each["id"],
                each["workflow_name"],
                f"{each['in_words']} ({each['time_zone']})",
                state(each["state"]),
                _due(each["next_at"]),
                _last(each["last"]),
            )
            for each in schedules
        ),
        none="There is no schedule: a workflow's trigger of type `schedule` makes one.",
    )


def _tell_occurrences(occurrences: list[dict[str, Any]]) -> None:
    listing(
        ("time", "became", "because", "execution"),
        (
            (
                _due(each["nominal_at"]),
                state(each["status"]),
                each["because"] or ("caught up" if each["caught_up"] else ""),
                each["execution_id"] or "-",
            )
            for each in occurrences
        ),
        none="None of its times has passed that fits.",
    )


def _facts(schedule: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "workflow", f"{schedule['workflow_name']} ({schedule['workflow_id']})"
    yield "when", f"{schedule['in_words']} ({schedule['time_zone']})"
    yield "state", schedule["state"]
    for name in ("paused_at", "pause_reason", "problem", "waits_for"):
        if schedule[name]:
            yield name.replace("_", " "), str(schedule[name])
    yield "next", ", ".join(_due(each) for each in schedule["upcoming"]) or "-"
    if schedule["last"]:
        yield "last", f"{schedule['last']['status']} {_due(schedule['last']['nominal_at'])}"
    if schedule["last_missed"]:
        yield "last missed", _due(schedule["last_missed"]["nominal_at"])
    if schedule["backfilling"]:
        yield "backfill", f"{schedule['backfilling']} wait to start"


def _last(occurrence: dict[str, Any] | None) -> Text:
    if occurrence is None:
        return Text("-")
    return state(occurrence["status"]).append(f" {_due(occurrence['nominal_at'])}")


def _due(written: str | None) -> str:
    return moment(written, seconds=False) or "-"

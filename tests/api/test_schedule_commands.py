"""`perdure schedules` against the real API on a socket."""

import asyncio
import json
from datetime import timedelta

from typer.testing import CliRunner, Result

from perdure.cli.app import app
from tests.api.house import house
from tests.api.test_secret_commands import address
from tests.factories.clockwork import MINUTE, START, Stack, stack

__all__ = ["address", "house", "stack"]


async def test_a_schedule_is_looked_after_from_a_terminal(stack: Stack, address: str) -> None:
    key = stack.house.owner.http.headers["Authorization"].removeprefix("Bearer ")
    environment = {"PERDURE_API": address, "PERDURE_API_KEY": key, "NO_COLOR": "1", "COLUMNS": "200"}

    async def perdure(*words: str, given: str = "") -> Result:
        return await asyncio.to_thread(
            CliRunner().invoke, app, ["schedules", *words], input=given, env=environment
        )

    id = str(await stack.publish({"every": "10 minutes", "catch_up": "PT0S"}))
    stack.now += 25 * MINUTE
    await stack.sweep()
    listed = await perdure("list")
    assert "every 10 minutes" in listed.stdout
    assert "missed 2026-11-23 03:20" in listed.stdout
    assert json.loads((await perdure("list", "--json")).stdout)[0]["id"] == id
    assert "2026-11-23 03:30" in (await perdure("show", id)).stdout
    ledger = await perdure("occurrences", id, "--status", "missed")
    assert ledger.stdout.count("nobody was there to start it in time") == 2
    assert (await perdure("pause", id, "--reason", "audit")).stdout == "It is paused.\n"
    assert "It is resumed; next: 2026-11-23 03:30." in (await perdure("resume", id)).stdout
    assert "is queued." in (await perdure("run", id)).stdout

    span = ("--from", f"{START - timedelta(hours=1):%Y-%m-%dT%H:%M}", "--to", f"{stack.now:%Y-%m-%dT%H:%M}")
    refused = await perdure("backfill", id, *span, given="y\n")
    assert refused.exit_code == 1
    assert "9 executions would start, and nobody can be asked here. Add --yes" in refused.stderr
    assert (await perdure("backfill", id, *span, "--json")).exit_code == 1
    done = await perdure("backfill", id, *span, "--yes")
    assert "9 executions start; 0 had started before." in done.stdout
    assert (await perdure("withdraw", id)).stdout == "9 executions will not start.\n"
    assert json.loads((await perdure("withdraw", id, "--json")).stdout) == {"withdrawn": 0}
    unknown = await perdure("show", "no-such-id", "--json")
    assert unknown.exit_code == 1


def test_the_next_times_are_worked_out_without_a_server() -> None:
    words = ["schedules", "next", "--cron", "30 1 * * *", "--time-zone", "Europe/London"]
    found = CliRunner().invoke(app, [*words, "--since", "2026-03-28T12:00:00", "--count", "2"])
    assert found.stdout.splitlines() == [
        "Sun 2026-03-29 02:00 BST  2026-03-29 01:00 UTC",
        "Mon 2026-03-30 01:30 BST  2026-03-30 00:30 UTC",
    ]
    for wrong in (
        ["--cron", "0 0 30 2 *"],
        ["--every", "5 seconds"],
        [],
        ["--cron", "@daily", "--time-zone", "Mars"],
    ):
        refused = CliRunner().invoke(app, ["schedules", "next", *wrong])
        assert refused.exit_code == 1, wrong
        assert "For example" in refused.stderr

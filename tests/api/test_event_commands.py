"""`perdure events` against the real API on a socket."""

import asyncio
import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from perdure.cli.app import app
from tests.api.house import House, house
from tests.api.test_secret_commands import address

__all__ = ["address", "house"]  # fixtures


async def perdure(house: House, address: str, *words: str, given: str = "") -> Result:
    key = house.owner.http.headers["Authorization"].removeprefix("Bearer ")
    environment = {"PERDURE_API": address, "PERDURE_API_KEY": key, "NO_COLOR": "1", "COLUMNS": "200"}
    return await asyncio.to_thread(CliRunner().invoke, app, ["events", *words], input=given, env=environment)


async def test_events_are_sent_listed_and_shown(house: House, address: str, tmp_path: Path) -> None:
    trigger = {"type": "event", "name": "paid", "configuration": {"type": "order.paid"}}
    await house.published(triggers=[trigger])
    options = ("--type", "order.paid", "--source", "https://shop.example", "--id", "7", "--json")
    sent = await perdure(house, address, "send", *options, "--data", '{"n": 1}')
    assert sent.exit_code == 0, sent.stderr
    [item] = json.loads(sent.stdout)["items"]
    data = tmp_path / "data.json"
    data.write_text('{"n": 1}')
    again = await perdure(house, address, "send", *options, "--data", f"@{data}")
    assert json.loads(again.stdout)["items"][0]["verdict"] == "duplicate"
    listed = await perdure(house, address, "list", "--type", "order.paid")
    assert "Greeting (pending)" in listed.stdout
    shown = await perdure(house, address, "show", item["event_id"])
    assert "pending  Greeting: paid" in shown.stdout
    assert '"n": 1' in shown.stdout
    assert (await perdure(house, address, "show", "nothing")).exit_code == 1


async def test_a_batch_tells_each_and_ends_with_one_when_any_is_refused(
    house: House, address: str, tmp_path: Path
) -> None:
    def cloud(id: str, **more: Any) -> dict[str, Any]:
        return {"specversion": "1.0", "id": id, "source": "s", "type": "t", **more}

    file = tmp_path / "events.json"
    file.write_text(json.dumps([cloud("1"), cloud("2", type=None), cloud("1", data=3)]))
    sent = await perdure(house, address, "send", str(file))
    assert sent.exit_code == 1
    assert [line.split()[0] for line in sent.stdout.splitlines() if not line.startswith(" ")] == [
        "accepted",
        "refused",
        "conflict",
    ]
    assert "#/1/type" in sent.stdout
    piped = await perdure(house, address, "send", "-", given=json.dumps(cloud("3")))
    assert piped.exit_code == 0, piped.stderr


async def test_what_cannot_be_sent_is_said_before_anything_is_asked(
    house: House, address: str, tmp_path: Path
) -> None:
    for words, said in (
        (("send",), "--type and --source"),
        (("send", str(tmp_path / "none.json")), "cannot be read"),
        (("send", "-"), "standard input is not JSON"),
        (("send", "-", "--type", "t"), "Give one of them"),
        (("send", "--type", "t", "--source", "s", "--data", "{"), "line 1, column 2"),
        (("send", "--type", "t", "--source", "/perdure/x"), "those of this platform itself"),
    ):
        answer = await perdure(house, address, *words)
        assert answer.exit_code == 1, words
        assert said in answer.stderr.replace("\n", " "), answer.stderr
    assert await house.everything("events") == []

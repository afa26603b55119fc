"""The activity log over the API: filtered, paged, exported, and itself a witness of who read it."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from activities.actions.audit import Part, Whole, export_part, finish_export
from activities.actions.context import ActionContext
from domain.blobs import NoBlobs
from tests.api.house import House, Person, house, problems  # noqa: F401
from tests.factories import rows
from workers.sweeps import Sweeper


def at(person: Person, path: str = "") -> str:
    return f"/v1/organizations/{person.organization_id}{path}"


async def log(person: Person, **filters: Any) -> list[dict[str, Any]]:
    answer = await person.http.get(at(person, "/audit-log"), params=filters)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_who_changed_what_from_where_is_read_newest_first(house: House) -> None:  # noqa: F811
    made = await house.owner.post("/v1/clients", {"name": "Borg & Sons", "email": "borg@example.test"})
    client = made.json()
    await house.owner.change(f"/v1/clients/{client['id']}", {"status": "inactive"}, made.headers["ETag"])
    changed, created = await log(house.owner, resource="clients")
    assert (changed["action"], created["action"]) == ("update", "insert")
    assert changed["metadata"]["old"] == {"status": "active"}
    assert changed["metadata"]["new"] == {"status": "inactive"}
    assert changed["metadata"]["columns"] == ["status"]
    assert created["metadata"]["new"]["created_by"] == str(house.owner.id)
    for line in (changed, created):
        assert (line["actor"], line["user_id"]) == ("api_key", str(house.owner.id))
        assert line["metadata"]["origin"].keys() == {"api_key_id"}
        assert (line["ip_address"], line["user_agent"]) == (
            "127.0.0.1",
            house.owner.http.headers["user-agent"],
        )
        assert line["resource_id"] == client["id"]
    assert "Borg" not in json.dumps([changed, created])


async def test_filters_narrow_it(house: House) -> None:  # noqa: F811
    client = (await house.owner.post("/v1/clients", {"name": "A"})).json()
    await house.member.post("/v1/clients", {"name": "B"})
    await house.put("activity_logs", actor_type="worker", action="insert", resource="tasks", resource_id="7")
    await log(house.owner)
    everything = await log(house.owner)
    assert {line["resource"] for line in everything} >= {"clients", "tasks", "activity_logs"}
    assert [line["resource_id"] for line in await log(house.owner, actor="worker")] == ["7"]
    assert {line["user_id"] for line in await log(house.owner, user_id=str(house.member.id))} == {
        str(house.member.id)
    }
    assert {line["resource_id"] for line in await log(house.owner, resource_id=client["id"])} == {
        client["id"]
    }
    assert {line["action"] for line in await log(house.owner, action="audit.read")} == {"audit.read"}
    moment = everything[1]["created_at"]
    assert all(line["created_at"] >= moment for line in await log(house.owner, **{"from": moment}))
    assert all(line["created_at"] < moment for line in await log(house.owner, to=moment))


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({"action": "login"}, "query/action"),
        ({"actor": "somebody"}, "query/actor"),
        ({"from": "2026-11-02T00:00:00Z", "to": "2026-11-01T00:00:00Z"}, "query/to"),
        ({"from": "yesterday"}, "query/from"),
        ({"colour": "red"}, "query/colour"),
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused(
    house: House,  # noqa: F811
    asked: dict[str, str],
    where: str,
) -> None:
    answer = await house.owner.http.get(at(house.owner, "/audit-log"), params=asked)
    assert answer.status_code == 422
    assert where in problems(answer)


async def test_pages_follow_each_other_without_a_gap(house: House) -> None:  # noqa: F811
    for number in range(25):
        await house.put(
            "activity_logs",
            actor_type="worker",
            action="insert",
            resource="tasks",
            resource_id=str(number),
            created_at=datetime.now(UTC) - timedelta(seconds=number // 3),
        )
    seen, cursor = [], None
    while True:
        asked = {"resource": "tasks", "limit": "7", **({"cursor": cursor} if cursor else {})}
        page = (await house.owner.http.get(at(house.owner, "/audit-log"), params=asked)).json()
        seen += [line["resource_id"] for line in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert sorted(map(int, seen)) == list(range(25))


async def test_reading_is_noted_with_what_was_asked_for(house: House) -> None:  # noqa: F811
    await log(house.owner, resource="clients")
    (noted,) = await log(house.owner, action="audit.read")
    assert noted["metadata"] == {"asked": {"resource": "clients"}, "lines": 0}
    assert noted["user_id"] == str(house.owner.id)


async def test_only_who_may_audit_reads_and_only_their_own(house: House) -> None:  # noqa: F811
    for path in ("/audit-log", "/stats", "/usage"):
        assert (await house.member.http.get(at(house.member, path))).status_code == 403
        assert (await house.stranger.http.get(at(house.owner, path))).status_code == 404
    assert (await house.member.post(at(house.member, "/audit-log/exports"))).status_code == 403


async def carried_out(house: House, export: dict[str, Any]) -> None:  # noqa: F811
    """The steps of the process, each in a transaction as a segment has it, the first one twice."""
    (entry,) = [e for e in house.dispatcher.told if str(e.execution_id) == export["execution_id"]]
    given = entry.payload["input"]
    for number in (0, *range(given["parts"])):
        async with house.working() as tx:
            await export_part.perform(
                _context(house, tx), Part(export=UUID(given["export"]), number=number, lines=given["lines"])
            )
    async with house.working() as tx:
        done = await finish_export.perform(_context(house, tx), Whole(export=UUID(given["export"])))
    assert done.lines == export["total"]


def _context(house: House, tx: Any) -> ActionContext:  # noqa: F811
    services: Any = None
    return ActionContext(
        organization_id=house.owner.organization_id,
        execution_id=uuid4(),
        occurrence="/do/0/part#1",
        started_by=house.owner.id,
        effect_key="export",
        now=datetime.now(UTC),
        connection=tx,
        services=services,
    )


async def test_an_export_holds_every_line_once_in_both_formats(
    house: House,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("domain.processes.audit.LINES_PER_PART", 10)
    async with house.admin.begin() as connection:
        for number in range(23):
            await rows.row(
                connection,
                "activity_logs",
                house.owner.organization_id,
                actor_type="worker",
                action="insert",
                resource="tasks",
                resource_id=f"=HYPERLINK({number})",
                metadata={"new": {"status": "open"}},
            )
    found: dict[str, list[dict[str, Any]]] = {}
    for form in ("csv", "jsonl"):
        asked = {"format": form, "resource": "tasks"}
        answer = await house.owner.post(at(house.owner, "/audit-log/exports"), asked)
        assert answer.status_code == 202, answer.text
        export = answer.json()
        assert (export["total"], export["links"]["file"]) == (23, None)
        file = answer.headers["Location"] + "/file"
        early = await house.owner.http.get(file)
        assert (early.status_code, early.json()["code"]) == (409, "export_not_ready")
        await carried_out(house, export)
        done = (await house.owner.http.get(answer.headers["Location"])).json()
        assert (done["status"], done["progress"], done["written"]) == ("completed", 100, 23)
        assert done["links"]["file"] == file
        got = await house.owner.http.get(file)
        assert got.headers["Content-Disposition"] == f'attachment; filename="audit-log.{form}"'
        if form == "csv":
            found[form] = list(csv.DictReader(io.StringIO(got.text.removeprefix("\ufeff"))))
        else:
            found[form] = [json.loads(line) for line in got.text.splitlines()]
    assert [line["id"] for line in found["csv"]] == [line["id"] for line in found["jsonl"]]
    assert len({line["id"] for line in found["csv"]}) == 23
    assert found["csv"][0]["resource_id"].startswith("'="), "no spreadsheet runs it"
    assert (
        found["jsonl"][0]["metadata"]
        == json.loads(found["csv"][0]["metadata"])
        == {"new": {"status": "open"}}
    )
    acts = [
        (line["action"], line["metadata"]["lines"])
        for line in await log(house.owner, resource="activity_logs")
    ]
    assert acts[:4] == [("audit.downloaded", 23), ("audit.exported", 23)] * 2


async def test_an_export_asked_for_twice_with_one_key_is_one(house: House) -> None:  # noqa: F811
    answers = [
        await house.owner.post(at(house.owner, "/audit-log/exports"), {}, Idempotency_Key="once")
        for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert len(await house.everything("audit_exports")) == 1


async def test_numbers_are_told_with_their_moment(house: House) -> None:  # noqa: F811
    before = await house.owner.http.get(at(house.owner, "/stats"))
    assert before.json() == dict.fromkeys(before.json())
    ahead = datetime.now(UTC) + timedelta(hours=1)
    await house.put("clients")
    await Sweeper(house.database, NoBlobs(), lambda: ahead).sweep()
    stats = (await house.owner.http.get(at(house.owner, "/stats"))).json()
    assert (stats["user_count"], stats["client_count"], stats["total_storage_bytes"]) == (3, 1, 0)
    assert datetime.fromisoformat(stats["refreshed_at"]) == ahead
    usage = (await house.owner.http.get(at(house.owner, "/usage"))).json()
    assert usage["items"][-1]["period"] == f"{datetime.now(UTC):%Y-%m}"
    assert datetime.fromisoformat(usage["counted_at"]) == ahead


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"from": "2026-01", "to": "2026-12"}, 200),
        ({"from": "2026-12", "to": "2026-01"}, 422),
        ({"from": "1990-01", "to": "2026-01"}, 422),
        ({"from": "2026-13"}, 422),
        ({"from": "2026-1"}, 422),
    ],
)
async def test_months_are_asked_for_by_name(house: House, asked: dict[str, str], status: int) -> None:  # noqa: F811
    answer = await house.owner.http.get(at(house.owner, "/usage"), params=asked)
    assert answer.status_code == status, answer.text
    if status == 200:
        assert [item["period"] for item in answer.json()["items"]][::11] == ["2026-01", "2026-12"]


async def test_calls_are_counted_without_a_write_of_their_own(house: House) -> None:  # noqa: F811
    """Refused ones are not: nobody is known to have made them."""
    await house.owner.http.get("/v1/clients")  # the key's use is written to the minute
    async with house.counting() as sent:
        await house.owner.http.get("/v1/clients")
        few = len(sent)
        for _ in range(5):
            await house.member.http.get("/v1/me")
    assert few == 3, sent  # who it is, entering, the list
    await house.owner.http.get("/v1/clients", headers={"Authorization": "Bearer nonsense"})
    await house.app.state.calls.close()
    (counter,) = [row for row in await house.everything("usage_counters") if row["metric"] == "api_calls"]
    assert (counter["organization_id"], counter["amount"]) == (house.owner.organization_id, 7)


async def test_calls_that_could_not_be_written_are_kept(
    house: House,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def away(*_: Any) -> None:
        raise OSError("no database")

    calls = house.app.state.calls
    await house.owner.http.get("/v1/clients")
    with monkeypatch.context() as broken:
        broken.setattr("api.calls.add_calls", away)
        await calls.write()
    assert not [row for row in await house.everything("usage_counters") if row["metric"] == "api_calls"]
    await calls.close()
    (counter,) = [row for row in await house.everything("usage_counters") if row["metric"] == "api_calls"]
    assert counter["amount"] == 1

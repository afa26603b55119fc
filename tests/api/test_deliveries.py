"""The delivery ledger: what it shows, what can be sent once more, and that it never grows without bound."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from api.ledger import REFUSALS
from db.sweeps import REFUSED_PER_TRIGGER
from domain.blobs import NoBlobs
from tests.api.hooks import SECRET, hooked, ledger, verdicts
from tests.api.house import House, house
from workers.sweeps import Sweeper

__all__ = ["house"]


async def test_the_body_is_sealed_in_the_row_and_shown_to_readers(house: House) -> None:
    hook = await hooked(house)
    await hook.send({"name": "canary in the coal mine"}, x_tenant="canary too", query="?q=canary")
    [row] = await house.everything("deliveries")
    assert b"canary" not in row["body"]
    assert "canary" not in str({name: value for name, value in row.items() if name != "body"})
    shown = (await house.owner.get(f"/v1/deliveries/{row['id']}")).json()
    assert shown["body"] == '{"name": "canary in the coal mine"}'
    assert (shown["body_encoding"], shown["headers"]["x-tenant"]) == ("utf-8", "canary too")
    assert (shown["query"], shown["replayable"]) == ({"q": "canary"}, True)
    assert (await house.reviewer.get(f"/v1/deliveries/{row['id']}")).status_code == 403


async def test_a_body_copied_into_another_row_does_not_open_there(house: House) -> None:
    hook = await hooked(house)
    await hook.send({"a": 1}, event_id="a")
    await hook.send({"b": 2}, event_id="b")
    one, two = [each["id"] for each in await house.everything("deliveries")]
    async with house.admin.begin() as connection:
        await connection.execute(
            text(
                "UPDATE deliveries SET body = (SELECT body FROM deliveries WHERE id = :one) WHERE id = :two"
            ),
            {"one": one, "two": two},
        )
    assert (await house.owner.get(f"/v1/deliveries/{two}")).json()["body"] is None


async def test_the_list_is_filtered_and_paged(house: House) -> None:
    hook, other = await hooked(house), await hooked(house)
    for number in range(3):
        await hook.send(event_id=f"evt-{number}")
    await other.send()
    other.secret = SECRET.replace("c2V", "d2V")
    await other.send(event_id="evt-2")

    async def ask(query: str) -> list[str]:
        answer = await house.owner.get(f"/v1/deliveries?{query}")
        assert answer.status_code == 200, answer.text
        return [each["event_id"] or each["verdict"] for each in answer.json()["items"]]

    assert await ask(f"trigger_id={hook.trigger_id}") == ["evt-2", "evt-1", "evt-0"]
    assert await ask("verdict=forged") == ["forged"]
    assert len(await ask("verdict=forged&verdict=accepted")) == 5
    assert await ask("from=2999-01-01T00:00:00Z") == []
    assert await ask("to=2000-01-01T00:00:00Z") == []
    first = (await house.owner.get("/v1/deliveries?limit=3")).json()
    rest = (await house.owner.get(f"/v1/deliveries?limit=3&cursor={first['next_cursor']}")).json()
    assert len({each["id"] for each in first["items"] + rest["items"]}) == 5
    assert (await house.owner.get("/v1/deliveries?verdict=odd")).status_code == 422
    assert (await house.stranger.get("/v1/deliveries")).json()["items"] == []


async def test_a_replay_starts_a_linked_execution_of_its_own(house: House) -> None:
    hook = await hooked(house)
    first = (await hook.send({"order": 7}, query="?q=1")).json()
    path = f"/v1/deliveries/{first['delivery_id']}/replay"
    answers = [await house.owner.post(path, None, Idempotency_Key="again") for _ in range(2)]
    assert [each.status_code for each in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    replay = answers[0].json()
    assert replay["execution_id"] != first["execution_id"]
    _, entry = house.dispatcher.told
    assert entry.payload["input"] == {"order": 7}
    assert entry.payload["started_by"] == str(house.owner.id)
    trigger = entry.payload["trigger"]
    assert (trigger["replay_of"], trigger["query"]) == (first["delivery_id"], {"q": "1"})
    [_, line] = await ledger(house)
    assert (line["source"], line["replay_of"]) == ("replay", first["delivery_id"])
    seen = (await house.owner.get(f"/v1/deliveries/{line['id']}")).json()
    assert seen["body"] == '{"order": 7}'

    second = await house.owner.post(f"/v1/deliveries/{line['id']}/replay")
    assert second.status_code == 202
    assert (await ledger(house))[-1]["replay_of"] == first["delivery_id"]
    assert (await house.member.post(path)).status_code == 403


async def test_what_was_rejected_is_replayed_once_the_workflow_is_mended(house: House) -> None:
    hook = await hooked(house)
    await house.owner.post(f"/v1/workflows/{hook.workflow_id}/pause")
    assert (await hook.send({"order": 7})).status_code == 409
    [line] = await ledger(house)
    path = f"/v1/deliveries/{line['id']}/replay"
    assert (await house.owner.post(path)).status_code == 409
    await house.owner.post(f"/v1/workflows/{hook.workflow_id}/resume")
    assert (await house.owner.post(path)).status_code == 202


async def test_what_did_not_prove_itself_is_never_replayed(house: House) -> None:
    hook = await hooked(house)
    await hook.send(now=1)
    await hook.send()
    await hook.send()
    hook.secret = SECRET.replace("c2V", "d2V")
    await hook.send(event_id="evt-2")
    for line in await ledger(house):
        answer = await house.owner.post(f"/v1/deliveries/{line['id']}/replay")
        wanted = 202 if line["verdict"] == "accepted" else 409
        assert answer.status_code == wanted, line["verdict"]
        if wanted == 409:
            assert answer.json()["code"] == "not_replayable"


# Bounds ------------------------------------------------------------------------------------------------------


async def test_a_flood_of_forged_requests_is_counted_not_stored(house: House) -> None:
    hook = await hooked(house)
    right, hook.secret = hook.secret, SECRET.replace("c2V", "d2V")
    for _ in range(REFUSALS.burst + 30):
        assert (await hook.send()).status_code == 401
    assert len(await house.everything("deliveries")) == REFUSALS.burst
    hook.secret = right
    assert (await hook.send()).status_code == 202, "the flood does not keep the provider out"
    receiver = house.app.state.receiver
    later = datetime.now(UTC) + timedelta(seconds=REFUSALS.seconds)
    assert receiver._refusals.admit(UUID(hook.trigger_id), later, authentic=False) == 30


async def test_whoever_only_knows_the_address_keeps_no_authentic_line_out(house: House) -> None:
    schema = {"document": {"type": "object", "required": ["order"]}}
    hook = await hooked(house, definition={"input": {"schema": schema}, "do": [{"a": {"set": {"x": 1}}}]})
    for _ in range(REFUSALS.burst + 1):
        assert (await hook.http.post(hook.path, content=b"{}")).status_code == 401
    assert (await hook.send({"ordre": 1})).status_code == 422
    assert (await hook.send(body=b"{", event_id="evt-2")).status_code == 422
    assert (await hook.send({"order": 1}, event_id="evt-3")).status_code == 202
    assert (await hook.send({"order": 1}, event_id="evt-3")).status_code == 202
    rows = [each for each in await house.everything("deliveries") if each["verdict"] != "forged"]
    assert {each["verdict"] for each in rows} == {"rejected", "malformed", "accepted", "duplicate"}
    assert [each["unrecorded"] for each in rows] == [0] * 4, "the strangers' are not counted into theirs"
    assert all(each["body"] for each in rows if each["verdict"] in ("rejected", "malformed"))


async def sweep(house: House, days: float = 0) -> dict[str, int]:
    now = datetime.now(UTC) + timedelta(days=days)
    return await Sweeper(house.database, NoBlobs(), lambda: now).sweep()


async def test_bodies_go_after_a_month_and_the_line_stays(house: House) -> None:
    hook = await hooked(house)
    first = (await hook.send({"a": 1})).json()
    hook.secret = SECRET.replace("c2V", "d2V")
    await hook.send(event_id="evt-2")
    assert (await sweep(house, days=29))["bodies"] == 0
    swept = await sweep(house, days=31)
    assert (swept["bodies"], swept["refusals"]) == (1, 1)
    [line] = await ledger(house)
    seen = (await house.owner.get(f"/v1/deliveries/{line['id']}")).json()
    assert (seen["body"], seen["replayable"], seen["execution_id"]) == (None, False, first["execution_id"])
    gone = await house.owner.post(f"/v1/deliveries/{line['id']}/replay")
    assert (gone.status_code, gone.json()["code"]) == (409, "body_gone")


async def test_an_event_is_remembered_longer_than_any_provider_repeats_it(house: House) -> None:
    hook = await hooked(house)
    await hook.send()
    assert (await sweep(house, days=89))["inbox"] == 0
    assert (await hook.send()).json()["duplicate"] is True
    assert (await sweep(house, days=91))["inbox"] == 1


async def test_only_the_newest_refusals_of_a_trigger_are_kept(house: House) -> None:
    hook, quiet = await hooked(house), await hooked(house)
    async with house.admin.begin() as connection:
        for trigger_id, count in ((hook.trigger_id, REFUSED_PER_TRIGGER + 700), (quiet.trigger_id, 5)):
            await connection.execute(
                text(
                    "INSERT INTO deliveries (organization_id, trigger_id, source, verdict, method, size, "
                    "received_at) SELECT :org, :trigger, 'provider', 'forged', 'POST', n, "
                    "now() - make_interval(secs => n) FROM generate_series(1, CAST(:count AS int)) AS n"
                ),
                {"org": house.owner.organization_id, "trigger": trigger_id, "count": count},
            )
    assert (await sweep(house))["flooded refusals"] == 700
    left = await house.everything("deliveries")
    assert len(left) == REFUSED_PER_TRIGGER + 5
    assert max(each["size"] for each in left) == REFUSED_PER_TRIGGER


@pytest.mark.parametrize(
    ("table", "kind", "given"),
    [
        ("idempotency_keys", "kept answers", {}),
        ("sessions", "sessions", {}),
        ("trigger_secrets", "trigger secrets", {"kind": "signing", "sealed": b"x"}),
    ],
)
async def test_what_expired_is_swept_and_what_counts_stays(
    house: House, table: str, kind: str, given: dict[str, Any]
) -> None:
    await sweep(house, days=365)
    now = datetime.now(UTC)
    before = len(await house.everything(table))
    await house.put(table, expires_at=now + timedelta(days=1), **given)
    await house.put(table, expires_at=now - timedelta(days=40), **given)
    assert (await sweep(house))[kind] == 1
    assert len(await house.everything(table)) == before + 1


async def test_the_sweep_goes_on_when_one_kind_fails(house: House) -> None:
    """No storage for large bodies is configured, yet one body lies there."""
    hook = await hooked(house)
    await house.put(
        "deliveries",
        trigger_id=hook.trigger_id,
        body_key="a/b/c",
        received_at=datetime.now(UTC) - timedelta(days=31),
    )
    await hook.send(event_id=str(uuid4()))
    swept = await sweep(house, days=31)
    assert (swept["stored bodies"], swept["bodies"]) == (0, 1)
    assert "accepted" in await verdicts(house)

"""Triggers: rows made by publishing, their addresses and secrets, tests and samples."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from tests.api.hooks import SECRET, STANDARD, Sender, hooked, ledger
from tests.api.house import GREETING, House, house, problems

__all__ = ["house"]
OTHER_SECRET = "whsec_" + "bmV3IHNlY3JldCBvZiB0aGUgaG9vayBvZiB0ZXN0cw=="
THIRD_SECRET = "whsec_" + "dGhlIHRoaXJkIHNlY3JldCBvZiB0aGUgaG9vayBvZg=="


async def republish(house: House, workflow_id: str, triggers: list[Any]) -> None:
    read = await house.owner.get(f"/v1/workflows/{workflow_id}")
    done = await house.owner.change(
        f"/v1/workflows/{workflow_id}", {"triggers": triggers}, read.headers["etag"]
    )
    assert done.status_code == 200, done.text
    published = await house.owner.post(f"/v1/workflows/{workflow_id}/publish")
    assert published.status_code in (200, 201), published.text


async def listed(house: House, workflow_id: str) -> dict[str, dict[str, Any]]:
    items = (await house.owner.get(f"/v1/workflows/{workflow_id}/triggers")).json()["items"]
    return {each["name"]: each for each in items}


async def rotate(house: House, hook: Sender, **body: Any) -> dict[str, Any]:
    done = await house.owner.post(f"/v1/triggers/{hook.trigger_id}/rotate-secret", body)
    assert done.status_code == 200, done.text
    answer: dict[str, Any] = done.json()
    return answer


async def moved(house: House, **earlier: float) -> None:
    """What was set to expire does so that much sooner."""
    async with house.admin.begin() as connection:
        await connection.execute(
            text("UPDATE trigger_secrets SET expires_at = expires_at - CAST(:by AS interval)"),
            {"by": timedelta(**earlier)},
        )


async def test_a_trigger_keeps_id_address_and_secret_as_long_as_its_name_stays(house: House) -> None:
    hook = await hooked(house)
    before = (await listed(house, hook.workflow_id))["orders"]
    webhook = {"type": "webhook", "name": "orders", "configuration": {**STANDARD, "wait": "PT3S"}}
    await republish(house, hook.workflow_id, [{"type": "manual"}, webhook])
    after = await listed(house, hook.workflow_id)
    assert set(after) == {"orders", "manual"}
    assert {k: after["orders"][k] for k in ("id", "url", "secrets")} == {
        k: before[k] for k in ("id", "url", "secrets")
    }
    assert after["orders"]["configuration"]["wait"] == "PT3S"
    assert after["manual"]["url"] is None
    assert (await hook.send()).status_code == 202

    await republish(house, hook.workflow_id, [{"type": "manual"}])
    gone = (await listed(house, hook.workflow_id))["orders"]
    assert (gone["id"], gone["is_active"]) == (before["id"], False)
    assert (await hook.send(event_id="evt-2")).status_code == 404

    await republish(house, hook.workflow_id, [webhook])
    assert (await listed(house, hook.workflow_id))["orders"]["url"] == before["url"]
    assert (await hook.send(event_id="evt-2")).status_code == 202


async def test_a_trigger_can_be_switched_off(house: House) -> None:
    hook = await hooked(house)
    off = {"type": "webhook", "name": "orders", "configuration": STANDARD, "is_active": False}
    await republish(house, hook.workflow_id, [off])
    assert (await hook.send()).status_code == 404


async def test_a_broken_publication_changes_no_trigger(house: House) -> None:
    hook = await hooked(house)
    read = await house.owner.get(f"/v1/workflows/{hook.workflow_id}")
    bad = {"triggers": [{"type": "webhook", "name": "orders", "configuration": {"scheme": "md5"}}]}
    await house.owner.change(f"/v1/workflows/{hook.workflow_id}", bad, read.headers["etag"])
    refused = await house.owner.post(f"/v1/workflows/{hook.workflow_id}/publish")
    assert refused.status_code == 422
    assert problems(refused) == {"/triggers/0/configuration/scheme": "bad_value"}
    assert (await hook.send()).status_code == 202


async def test_weak_schemes_are_published_with_a_visible_warning(house: House) -> None:
    trigger = {"type": "webhook", "configuration": {"scheme": "url"}}
    checked = await house.owner.post(
        "/v1/workflows/validate", {"definition": GREETING, "triggers": [trigger]}
    )
    assert checked.json()["valid"] is True
    assert [each["code"] for each in checked.json()["problems"]] == ["weak_scheme"]
    body = {"name": "Weak", "definition": GREETING, "triggers": [trigger]}
    created = (await house.owner.post("/v1/workflows", body)).json()
    assert [each["severity"] for each in created["problems"]] == ["warning"]
    published = (await house.owner.post(f"/v1/workflows/{created['id']}/publish")).json()
    assert [each["code"] for each in published["warnings"]] == ["weak_scheme"]


async def test_the_old_secret_counts_until_the_overlap_is_over(house: House) -> None:
    hook = await hooked(house)
    rotated = await rotate(house, hook, secret=OTHER_SECRET)
    assert rotated["secret"] is None, "a secret that was brought is not repeated"
    assert rotated["previous_until"] is not None
    assert (await hook.send(event_id="old")).status_code == 202
    hook.secret = OTHER_SECRET
    assert (await hook.send(event_id="new")).status_code == 202
    assert len((await listed(house, hook.workflow_id))["orders"]["secrets"]) == 3  # two, and the address

    await moved(house, hours=23, minutes=59)
    hook.secret = SECRET
    assert (await hook.send(event_id="old, late")).status_code == 202
    await moved(house, minutes=1)
    assert (await hook.send(event_id="old, too late")).status_code == 401
    hook.secret = OTHER_SECRET
    assert (await hook.send(event_id="new still")).status_code == 202


@pytest.mark.parametrize(("overlap", "second"), [("24 hours", 202), ("PT0S", 401)])
async def test_only_two_secrets_count_at_once_and_an_overlap_may_be_none(
    house: House, overlap: str, second: int
) -> None:
    hook = await hooked(house)
    await rotate(house, hook, secret=OTHER_SECRET)
    await rotate(house, hook, secret=THIRD_SECRET, overlap=overlap)
    statuses = []
    for secret in (SECRET, OTHER_SECRET, THIRD_SECRET):
        hook.secret = secret
        statuses.append((await hook.send(event_id=secret)).status_code)
    assert statuses == [401, second, 202]


async def test_a_made_secret_is_shown_once_and_never_kept_readable(house: House) -> None:
    hook = await hooked(house)
    path = f"/v1/triggers/{hook.trigger_id}/rotate-secret"
    first = await house.owner.post(path, {}, Idempotency_Key="rotation-1")
    hook.secret = first.json()["secret"]
    assert hook.secret.startswith("whsec_")
    assert (await hook.send()).status_code == 202
    again = await house.owner.post(path, {}, Idempotency_Key="rotation-1")
    assert (again.json()["secret"], again.headers["idempotent-replay"]) == (None, "true")
    shown = (await house.owner.get(f"/v1/triggers/{hook.trigger_id}")).text
    stored = str(await house.everything("trigger_secrets")) + str(await house.everything("idempotency_keys"))
    token = hook.url.rpartition("/")[2]
    assert hook.secret not in shown
    for secret in (hook.secret, hook.secret[6:], token):
        assert secret not in stored


async def test_a_secret_that_cannot_be_opened_counts_no_longer(house: House) -> None:
    hook = await hooked(house)
    async with house.admin.begin() as connection:
        await connection.execute(
            text("UPDATE trigger_secrets SET sealed = (SELECT sealed FROM trigger_secrets LIMIT 1)")
        )
    assert (await hook.send()).status_code == 401
    view = await house.owner.get(f"/v1/triggers/{hook.trigger_id}")
    assert view.status_code == 200
    assert (await rotate(house, hook, what="url"))["url"] is not None


async def test_an_address_can_be_rotated_too(house: House) -> None:
    hook = await hooked(house, {"scheme": "url"}, secret=None)
    old = hook.url
    refused = await house.owner.post(f"/v1/triggers/{hook.trigger_id}/rotate-secret", {"secret": "x" * 20})
    assert refused.status_code == 422
    hook.url = (await rotate(house, hook, what="url"))["url"]
    assert hook.url != old
    assert (await hook.send(event_id="new")).status_code == 202
    new, hook.url = hook.url, old
    assert (await hook.send({"x": "old"})).status_code == 202
    await moved(house, hours=24)
    assert (await hook.send({"x": "old, late"})).status_code == 404
    assert (await listed(house, hook.workflow_id))["orders"]["url"] == new


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"secret": "short"}, "#/secret"),
        ({"overlap": "8 days"}, "#/overlap"),
        ({"overlap": "soon"}, "#/overlap"),
        ({"what": "else"}, "#/what"),
        ({"length": 3}, "#/length"),
    ],
)
async def test_what_rotation_refuses(house: House, body: Any, pointer: str) -> None:
    hook = await hooked(house)
    refused = await house.owner.post(f"/v1/triggers/{hook.trigger_id}/rotate-secret", body)
    assert refused.status_code == 422
    assert list(problems(refused)) == [pointer]


async def test_a_manual_trigger_has_no_secret(house: House) -> None:
    workflow_id = await house.published(triggers=[{"type": "manual"}])
    id = (await listed(house, workflow_id))["manual"]["id"]
    for path in ("rotate-secret", "test"):
        answer = await house.owner.post(f"/v1/triggers/{id}/{path}", {})
        assert (answer.status_code, answer.json()["code"]) == (409, "not_a_webhook")


async def test_members_see_triggers_but_not_addresses(house: House) -> None:
    hook = await hooked(house)
    seen = await house.member.get(f"/v1/workflows/{hook.workflow_id}/triggers")
    assert seen.json()["items"][0]["url"] is None
    refused = await house.member.post(f"/v1/triggers/{hook.trigger_id}/rotate-secret", {})
    assert refused.status_code == 403
    assert (await house.reviewer.get(f"/v1/triggers/{hook.trigger_id}")).status_code == 403


async def test_two_publications_at_once_make_one_address(house: House) -> None:
    hook = await hooked(house)
    await house.warm()
    path = f"/v1/workflows/{hook.workflow_id}/publish"
    await asyncio.gather(*(house.owner.post(path) for _ in range(4)))
    urls = [each for each in await house.everything("trigger_secrets") if each["kind"] == "url"]
    assert len(urls) == 1


# Tests and samples -------------------------------------------------------------------------------------------


async def test_a_trial_reads_as_the_trigger_would_and_starts_nothing(house: House) -> None:
    schema = {"document": {"type": "object", "required": ["order"]}}
    hook = await hooked(house, definition={"input": {"schema": schema}, "do": [{"a": {"set": {"x": 1}}}]})
    path = f"/v1/triggers/{hook.trigger_id}"
    assert (await house.owner.get(path + "/sample")).json()["code"] == "no_sample"
    tried = await house.owner.post(
        path + "/test",
        {"body": {"order": 1}, "headers": {"X-Shop": "a", "Cookie": "hush"}, "query": {"q": "1"}},
    )
    assert tried.status_code == 200, tried.text
    assert tried.json()["input"] == {"order": 1}
    assert tried.json()["trigger"]["headers"] == {"content-type": "application/json", "x-shop": "a"}
    assert house.dispatcher.told == []
    refused = await house.owner.post(path + "/test", {"body": {}})
    assert refused.status_code == 422
    [line] = await ledger(house)
    assert (line["verdict"], line["source"], line["execution_id"]) == ("tested", "test", None)
    sample = (await house.owner.get(path + "/sample")).json()
    assert (sample["delivery_id"], sample["input"]) == (line["id"], {"order": 1})
    assert sample["body"] == '{"order":1}'

    await hook.send({"order": 2})
    newer = (await house.owner.get(path + "/sample")).json()
    assert (newer["input"], newer["headers"]["webhook-id"]) == ({"order": 2}, "evt-1")


async def test_a_trial_may_start_an_execution(house: House) -> None:
    hook = await hooked(house)
    path = f"/v1/triggers/{hook.trigger_id}/test"
    tried = await house.owner.post(path, {"body": "a note", "content_type": "text/plain", "start": True})
    [entry] = house.dispatcher.told
    assert str(entry.execution_id) == tried.json()["execution_id"]
    assert entry.payload["input"] == "a note"
    assert entry.payload["started_by"] == str(house.owner.id)


async def test_a_trial_is_read_as_configured(house: House) -> None:
    hook = await hooked(house, {**STANDARD, "body": "form"})
    path = f"/v1/triggers/{hook.trigger_id}/test"
    read = await house.owner.post(path, {"body": "a=1&b=2&b=3", "content_type": "text/plain"})
    assert read.json()["input"] == {"a": "1", "b": ["2", "3"]}
    refused = await house.owner.post(path, {"body": "a=%ff", "content_type": "text/plain"})
    assert (refused.status_code, refused.json()["code"]) == (422, "webhook_malformed")

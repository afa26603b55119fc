"""The pages of events and deliveries, as a browser without scripts uses them."""

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from api.console.frame.templates import HERE
from domain.permissions import RoleName
from tests.api.conftest import Account, World
from tests.api.people import People, people
from tests.api.test_pages import sign_in, token
from tests.factories.rows import row

__all__ = ["people"]  # a fixture

NOTE = {"do": [{"note": {"set": {"a": 1}}}]}


@pytest.fixture
async def browser(world: World, account: Account) -> AsyncIterator[httpx2.AsyncClient]:
    async with world.browser() as client:
        await sign_in(client, account.email)
        yield client


async def enter(browser: httpx2.AsyncClient, email: str, people: People) -> None:
    """Sign in, and switch to the organization they were added to."""
    await sign_in(browser, email)
    form = {"csrf_token": token(await browser.get("/")), "organization_id": people.id}
    assert (await browser.post("/organization", data=form)).status_code == 303


async def published(account: Account, trigger: dict[str, Any]) -> dict[str, Any]:
    body = {"name": "Thanks", "definition": NOTE, "triggers": [trigger]}
    made = (await account.post("/v1/workflows", json=body)).json()
    assert (await account.post(f"/v1/workflows/{made['id']}/publish")).status_code == 201
    triggers = (await account.get(f"/v1/workflows/{made['id']}/triggers")).json()["items"]
    found: dict[str, Any] = triggers[0]
    return found


# Events


async def test_an_event_is_sent_by_hand_and_shown_with_what_it_may_start(
    browser: httpx2.AsyncClient, account: Account
) -> None:
    await published(account, {"type": "event", "name": "paid", "configuration": {"type": "order.paid"}})
    page = await browser.get("/events")
    assert "No event has arrived yet." in page.text
    form = {
        "type": "order.paid",
        "source": "https://shop.example",
        "subject": "",
        "data": '{"n": "<b>7</b>"}',
    }
    sent = await browser.post("/events", data={**form, "csrf_token": token(page)})
    assert sent.status_code == 303, sent.text
    shown = await browser.get(sent.headers["location"])
    assert "The event is recorded." in shown.text
    assert "Not looked at yet" in shown.text
    assert "Thanks" in shown.text
    assert "&lt;b&gt;7&lt;/b&gt;" in shown.text
    assert "<b>7" not in shown.text
    listed = await browser.get("/events?type=order.paid")
    assert "https://shop.example" in listed.text
    assert "No event matches." in (await browser.get("/events?type=other")).text


async def test_what_is_wrong_with_an_event_is_said_and_what_was_written_stays(
    browser: httpx2.AsyncClient,
) -> None:
    page = await browser.get("/events")
    for change, said in (
        ({"data": "{"}, "are not JSON"),
        ({"source": "/perdure/x"}, "those of this platform itself"),
        ({"type": "x" * 201}, "a text of 1 to 200 characters"),
    ):
        form = {"type": "kept.type", "source": "s", "data": "", **change, "csrf_token": token(page)}
        answer = await browser.post("/events", data=form)
        assert answer.status_code == 422, answer.text
        assert said in answer.text
        assert f'value="{form["type"]}"' in answer.text
    assert "No event has arrived yet." in (await browser.get("/events")).text


async def test_a_failed_filter_is_told_and_the_event_looked_at_once_more(
    browser: httpx2.AsyncClient, account: Account, behind: AsyncConnection
) -> None:
    await published(account, {"type": "event", "name": "paid", "configuration": {"type": "order.paid"}})
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "order.paid"}
    taken = (await account.post("/v1/events", json=event)).json()["items"][0]
    await behind.exec_driver_sql(
        "UPDATE event_routings SET verdict = 'failed', reason = 'the filter `.x` failed', decided_at = now()"
    )
    page = await browser.get(f"/events/{taken['event_id']}")
    assert "The filter <code>.x</code> failed" in page.text
    again = await browser.post(f"/events/{taken['event_id']}/replay", data={"csrf_token": token(page)})
    assert again.headers["location"] == f"/events/{taken['event_id']}?done=repeated"
    assert "Not looked at yet" in (await browser.get(again.headers["location"])).text


async def test_nobody_sees_the_events_or_deliveries_of_another_organization(
    world: World, browser: httpx2.AsyncClient, behind: AsyncConnection
) -> None:
    other = await world.account("Mallory Ltd")
    event = await row(behind, "events", other.organization_id, type="canary.type")  # type: ignore[arg-type]
    delivery = await row(behind, "deliveries", other.organization_id, reason="canary reason")  # type: ignore[arg-type]
    for path in (
        f"/events/{event['id']}",
        f"/deliveries/{delivery['id']}",
        f"/events/{uuid4()}",
        "/events/x",
    ):
        assert (await browser.get(path)).status_code == 404, path
    for path in ("/events", "/deliveries", f"/deliveries?trigger_id={delivery['trigger_id']}"):
        assert "canary" not in (await browser.get(path)).text
    page = await browser.get("/events")
    for path in (f"/events/{event['id']}/replay", f"/deliveries/{delivery['id']}/replay"):
        assert (await browser.post(path, data={"csrf_token": token(page)})).status_code == 404


async def test_forms_without_their_token_do_nothing(browser: httpx2.AsyncClient, account: Account) -> None:
    answer = await browser.post("/events", data={"type": "t", "source": "s"})
    assert answer.status_code == 403
    assert (await account.get("/v1/events")).json()["items"] == []


async def test_who_may_only_look_is_offered_nothing_else(people: People) -> None:
    world = people.world
    auditor, reviewer = await people.add(RoleName.AUDITOR), await people.add(RoleName.REVIEWER)
    async with world.browser() as client:
        await enter(client, auditor.email, people)
        page = await client.get("/events")
        assert page.status_code == 200
        assert "Send an event" not in page.text
        answer = await client.post("/events", data={"type": "t", "source": "s", "csrf_token": token(page)})
        assert answer.status_code == 403
    async with world.browser() as client:
        await enter(client, reviewer.email, people)
        assert (await client.get("/events")).status_code == 403
        assert (await client.get("/deliveries")).status_code == 403
        assert 'href="/events"' not in (await client.get("/")).text


# Deliveries


async def test_a_delivery_is_shown_with_its_body_and_replayed(
    world: World, browser: httpx2.AsyncClient, account: Account
) -> None:
    configuration = {"scheme": "url", "event_id": {"expression": ".id"}}
    trigger = await published(account, {"type": "webhook", "name": "shop", "configuration": configuration})
    assert "Nothing has arrived at a webhook yet." in (await browser.get("/deliveries")).text
    for body in ({"id": "e1", "who": "<i>Ada</i>"}, {"id": "e1", "who": "<i>Ada</i>"}):
        sent = await world.http.post(trigger["url"], json=body, headers={"X-Shop": "north"})
        assert sent.status_code == 202, sent.text
    listed = await browser.get("/deliveries")
    assert listed.text.count("Thanks: shop") == 3  # the filter, and two lines
    assert "Duplicate" in listed.text
    accepted = await browser.get("/deliveries?verdict=accepted")
    [path] = re.findall(r'href="(/deliveries/[0-9a-f-]{36})"', accepted.text)
    page = await browser.get(path)
    assert "It proved where it comes from" in page.text
    assert "north" in page.text
    assert "&lt;i&gt;Ada&lt;/i&gt;" in page.text
    assert "<i>Ada" not in page.text
    again = await browser.post(f"{path}/replay", data={"csrf_token": token(page)})
    assert again.status_code == 303, again.text
    replayed = await browser.get(again.headers["location"])
    assert "Replayed: this is the delivery that was made of it." in replayed.text
    assert f'href="{path}"' in replayed.text
    assert len(world.dispatcher.entries) == 2


async def test_what_proved_nothing_is_told_so_and_not_replayed(
    browser: httpx2.AsyncClient, account: Account, behind: AsyncConnection
) -> None:
    values = {"verdict": "forged", "reason": "The signature is wrong.", "method": "POST", "size": 3}
    made = await row(behind, "deliveries", account.organization_id, **values)  # type: ignore[arg-type]
    page = await browser.get(f"/deliveries/{made['id']}")
    assert "It did not prove where it comes from" in page.text
    assert "Its body is not kept" in page.text
    assert "/replay" not in page.text
    answer = await browser.post(f"/deliveries/{made['id']}/replay", data={"csrf_token": token(page)})
    assert answer.status_code == 409
    assert "not started on a word" in answer.text


async def test_nonsense_in_an_address_is_a_page(browser: httpx2.AsyncClient) -> None:
    for path, status in (
        ("/deliveries?verdict=x", 422),
        ("/deliveries?trigger_id=x", 404),
        ("/events?cursor=x", 422),
    ):
        answer = await browser.get(path)
        assert answer.status_code == status, path
        assert "<main" in answer.text


async def test_a_body_that_is_no_text_stands_in_base64(
    world: World, browser: httpx2.AsyncClient, account: Account
) -> None:
    configuration = {"scheme": "url", "body": "raw"}
    trigger = await published(account, {"type": "webhook", "name": "bytes", "configuration": configuration})
    sent = await world.http.post(
        trigger["url"], content=b"\xff\x00", headers={"Content-Type": "application/octet-stream"}
    )
    assert sent.status_code == 202, sent.text
    page = await browser.get(f"/deliveries/{sent.json()['delivery_id']}")
    assert "in base64" in page.text
    assert "/wA=" in page.text


def test_the_pages_bring_no_style_or_script_of_their_own() -> None:
    for name in ("events.html", "event.html", "deliveries.html", "delivery.html"):
        text = (HERE / "triggers" / name).read_text()
        assert not re.search(r"style=|<style|<script|onclick", text), name

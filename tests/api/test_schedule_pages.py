"""The pages of schedules, as a browser without scripts uses them."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from domain.permissions import RoleName
from tests.api.conftest import Account, World
from tests.api.people import People, people
from tests.api.test_pages import sign_in, token
from tests.api.test_secrets_pages import visit
from workers.firing import Firing

__all__ = ["people"]

DEFINITION = {"do": [{"note": {"set": {"a": 1}}}]}


@pytest.fixture
async def browser(world: World, account: Account) -> AsyncIterator[httpx2.AsyncClient]:
    async with world.browser() as client:
        await sign_in(client, account.email)
        yield client


async def scheduled(world: World, account: Account, **configuration: Any) -> str:
    """The id of a schedule that counts."""
    trigger = {"type": "schedule", "configuration": configuration}
    body = {"name": "Remind clients", "definition": DEFINITION, "triggers": [trigger]}
    made = await account.post("/v1/workflows", json=body)
    assert made.status_code == 201, made.text
    assert (await account.post(f"/v1/workflows/{made.json()['id']}/publish")).status_code == 201
    await sweep(world)
    [item] = (await account.get("/v1/schedules")).json()["items"]
    return str(item["id"])


async def sweep(world: World, **ahead: float) -> None:
    world.clock.forward(**ahead)
    await Firing(world.database, world.dispatcher, world.clock).sweep()


async def send(browser: httpx2.AsyncClient, path: str, **form: str) -> httpx2.Response:
    form["csrf_token"] = token(await browser.get("/schedules"))
    return await browser.post(path, data=form)


async def test_nothing_is_due_where_nothing_is_scheduled(browser: httpx2.AsyncClient) -> None:
    assert "No workflow starts by the clock yet." in (await browser.get("/schedules")).text


async def test_a_schedule_says_when_it_is_due_and_what_became_of_each_time(
    world: World, account: Account, browser: httpx2.AsyncClient
) -> None:
    id = await scheduled(world, account, every="10 minutes", catch_up="PT0S")
    page = (await browser.get("/schedules")).text
    assert f'<a href="/schedules/{id}"><strong>Remind clients</strong></a>' in page
    assert "every 10 minutes" in page
    assert "Not yet" in page
    one = (await browser.get(f"/schedules/{id}")).text
    assert len(re.findall(r"<li><time ", one)) == 5
    assert "It has not been due yet." in one
    await sweep(world, minutes=35)
    one = (await browser.get(f"/schedules/{id}")).text
    assert "A time was missed:" in one
    assert one.count("Nobody was there to start it in time") == 3
    assert "Missed" in (await browser.get("/schedules")).text
    assert "None in the last 90 days." in (await browser.get(f"/schedules/{id}?status=ran")).text


async def test_pausing_resuming_and_running_now(
    world: World, account: Account, browser: httpx2.AsyncClient
) -> None:
    id = await scheduled(world, account, cron="0 9 13 * 5")
    assert "<code>0 9 13 * 5</code>" in (await browser.get(f"/schedules/{id}")).text
    done = await send(browser, f"/schedules/{id}/pause", reason="Holidays <b>")
    assert done.headers["location"] == f"/schedules/{id}?done=paused"
    page = (await browser.get(done.headers["location"])).text
    assert "Nothing starts by its clock" in page
    assert "Holidays &lt;b&gt;" in page
    assert "None while it is paused." in page
    ran = await send(browser, f"/schedules/{id}/run")
    assert re.fullmatch(r"/executions/[0-9a-f-]{36}", ran.headers["location"])
    assert len(world.dispatcher.entries) == 1
    done = await send(browser, f"/schedules/{id}/resume")
    assert done.headers["location"] == f"/schedules/{id}?done=resumed"
    page = (await browser.get(f"/schedules/{id}")).text
    assert "Run by Mara Lind" in page
    assert ran.headers["location"] in page


async def test_a_backfill_is_shown_before_it_starts(
    world: World, account: Account, browser: httpx2.AsyncClient
) -> None:
    id = await scheduled(world, account, cron="0 * * * *")
    now = world.clock()
    span = {"since": f"{now - timedelta(hours=5):%Y-%m-%dT%H:%M}", "until": f"{now:%Y-%m-%dT%H:%M}"}
    page = (await browser.get(f"/schedules/{id}", params=span)).text
    assert "<strong>5 executions</strong> would start" in page
    changed = await send(browser, f"/schedules/{id}/backfill", **span, expected="4")
    assert (changed.status_code, "not 4" in changed.text) == (409, True)
    done = await send(browser, f"/schedules/{id}/backfill", **span, expected="5")
    assert done.headers["location"] == f"/schedules/{id}?done=backfilled"
    page = (await browser.get(done.headers["location"])).text
    assert "5 times of a backfill wait to start." in page
    assert page.count("Asked for by Mara Lind") == 5
    await send(browser, f"/schedules/{id}/withdraw")
    assert (await browser.get(f"/schedules/{id}")).text.count("The backfill was withdrawn") == 5


@pytest.mark.parametrize(
    ("span", "said"),
    [
        ({"since": "yesterday", "until": "2026-11-23T09:00"}, "From is a date and a time"),
        ({"since": "2001-01-01T00:00", "until": "2001-01-02T00:00"}, "The ledger goes back 90 days"),
        ({"since": "2999-01-01T00:00", "until": "2999-01-02T00:00"}, "cannot reach into the future"),
    ],
)
async def test_a_span_that_cannot_be_is_told(
    world: World, account: Account, browser: httpx2.AsyncClient, span: dict[str, str], said: str
) -> None:
    id = await scheduled(world, account, cron="* * * * *")
    page = await browser.get(f"/schedules/{id}", params=span)
    assert (page.status_code, said in page.text) == (422, True)
    assert (await send(browser, f"/schedules/{id}/backfill", **span, expected="1")).status_code == 422


async def test_who_may_look_sees_no_buttons_and_nobody_else_sees_anything(
    people: People, browser: httpx2.AsyncClient
) -> None:
    world = people.world
    id = await scheduled(world, people.owner, every="1 hour")
    async with world.browser() as client:
        await visit(client, people, RoleName.AUDITOR)
        page = (await client.get(f"/schedules/{id}")).text
        assert "Remind clients" in page
        assert "Pause the schedule" not in page
        assert "Run now" not in page
        assert '<h2 id="backfill-heading">' not in page
        for path in ("pause", "resume", "run", "backfill", "withdraw"):
            assert (await send(client, f"/schedules/{id}/{path}")).status_code == 403
    async with world.browser() as client:
        await visit(client, people, RoleName.REVIEWER)
        assert (await client.get("/schedules")).status_code == 403
        assert (await client.get(f"/schedules/{id}")).status_code == 403
    assert (await browser.get(f"/schedules/{id}")).status_code == 404  # another organization


@pytest.mark.parametrize(
    "query", ["?before=soon", "?before=0001-01-01T00:00:00%2B14:00", "?status=lost", "?since=x"]
)
async def test_an_address_somebody_made_up_is_no_accident(
    world: World, account: Account, browser: httpx2.AsyncClient, query: str
) -> None:
    id = await scheduled(world, account, every="1 hour")
    assert (await browser.get(f"/schedules/{id}{query}")).status_code in (200, 422)
    assert (await browser.get("/schedules/nothing")).status_code == 404

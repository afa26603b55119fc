"""The page of an invitation, and choosing the organization one acts in: without a script, with a browser's cookies."""

import re

import httpx2

from tests.api.conftest import PASSWORD, Account, World
from tests.api.people import People, people

__all__ = ["people"]


def token_of(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None, page
    return found[1]


async def sign_in(browser: httpx2.AsyncClient, who: Account) -> httpx2.Response:
    page = await browser.get("/login")
    form = {"csrf_token": token_of(page.text), "email": who.email, "password": PASSWORD}
    answer = await browser.post("/login", data=form)
    assert answer.status_code == 303, answer.text
    return answer


async def test_opening_the_link_uses_nothing_up_and_sending_the_form_does(
    people: People, world: World
) -> None:
    await people.invite("nils@neu.example")
    link = people.link()
    async with world.browser() as browser:
        for _ in range(2):
            page = await browser.get(f"/invitation?token={link}")
            assert page.status_code == 200
        assert "Join Lind &amp; Co" in page.text
        assert "Perdure has not checked who this organization is" in page.text
        assert page.headers["Referrer-Policy"] == "no-referrer"
        form = {"token": link, "name": "Nils Neu", "password": "seven quiet otters"}
        joined = await browser.post("/invitation", data=form, headers={"Origin": "null"})
        assert joined.status_code == 200, joined.text
        assert "You are a member of Lind &amp; Co" in joined.text
        again = await browser.post("/invitation", data=form)
        assert again.status_code == 422
        assert "not valid any more" in again.text
    login = await world.http.post(
        "/v1/auth/login", json={"email": "nils@neu.example", "password": "seven quiet otters"}
    )
    assert login.status_code == 200


async def test_who_has_an_account_signs_in_and_finds_back(people: People, world: World) -> None:
    ada = await world.account("Ada Ltd")
    await people.invite(ada.email)
    link = people.link()
    async with world.browser() as browser:
        assert "Join with my account" in (await browser.get(f"/invitation?token={link}")).text
        sent = await browser.post("/invitation", data={"token": link})
        assert (sent.status_code, sent.headers["Location"]) == (303, "/login?reason=invited")
        await sign_in(browser, ada)
        home = await browser.get("/")
        assert (home.status_code, home.headers["Location"]) == (303, "/invitation")
        page = await browser.get("/invitation")
        assert "Join Lind &amp; Co" in page.text
        joined = await browser.post("/invitation", data={"token": link})
        assert (joined.status_code, joined.headers["Location"]) == (303, "/")
        home = await browser.get("/")
        assert "<h1>Lind &amp; Co</h1>" in home.text, "who has just joined acts there"

        # And back, with the switch on the home page.
        wanted = {"csrf_token": token_of(home.text), "organization_id": ada.organization_id}
        switched = await browser.post("/organization", data=wanted)
        assert switched.status_code == 303
        assert "<h1>Ada Ltd</h1>" in (await browser.get("/")).text
        foreign = {**wanted, "organization_id": (await world.account()).organization_id}
        refused = await browser.post("/organization", data=foreign)
        unknown = await browser.post("/organization", data={**wanted, "organization_id": ada.user_id})
        assert (refused.status_code, refused.content) == (404, unknown.content)
        forged = await browser.post("/organization", data={"organization_id": people.id})
        assert forged.status_code == 403
    me = await ada.get("/v1/me")
    assert me.json()["organization_id"] == ada.organization_id, "each login chooses for itself"


async def test_somebody_else_is_told_whose_invitation_it_is(people: People, world: World) -> None:
    ada, mallory = await world.account("Ada Ltd"), await world.account("Mallory Ltd")
    await people.invite(ada.email)
    async with world.browser() as browser:
        await sign_in(browser, mallory)
        refused = await browser.post("/invitation", data={"token": people.link()})
    assert refused.status_code == 403
    assert "for another e-mail address" in refused.text


async def test_a_form_of_another_site_and_a_broken_link_do_nothing(people: People, world: World) -> None:
    await people.invite("nils@neu.example")
    form = {"token": people.link(), "name": "Nils", "password": "seven quiet otters"}
    async with world.browser() as browser:
        foreign = await browser.post("/invitation", data=form, headers={"Origin": "https://evil.example"})
        assert foreign.status_code == 403
        for broken in ("", "x" * 5000, "ünknown"):
            page = await browser.get(f"/invitation?token={broken}")
            assert page.status_code == 422
            assert "not valid any more" in page.text
        weak = await browser.post("/invitation", data={**form, "password": "password"})
        assert weak.status_code == 422
        assert form["token"] in weak.text, "the form is there to be corrected"
        assert 'value="Nils"' in weak.text

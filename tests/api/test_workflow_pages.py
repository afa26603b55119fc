"""Pages of workflows and templates as a browser without scripts uses them."""

import re
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx2
import orjson
import pytest

from activities.actions.registry import built_in
from domain.actions import Catalogue
from tests.api.conftest import Account, World
from tests.api.test_pages import sign_in, token

BARE = "# My note.\ndo:\n  - greet: {set: {text: hello}}\n"
ASKS = """\
input: {schema: {document: {type: object, required: [client], properties: {client: {type: string, minLength: 2}}}}}
do:
  - Decide: {call: approve, with: {title: 'Take on ${ .client }'}}
  - Sum up: {set: {taken: '${ .approved }'}}
"""


@pytest.fixture
def catalogue() -> Catalogue:
    return built_in().specs()


@pytest.fixture
async def browser(world: World, account: Account) -> AsyncIterator[httpx2.AsyncClient]:
    async with world.browser() as client:
        await sign_in(client, account.email)
        yield client


async def sent(browser: httpx2.AsyncClient, page: str, to: str, **fields: str) -> httpx2.Response:
    """A form of `page`, posted with its token and its revision."""
    shown = await browser.get(page)
    assert shown.status_code == 200, shown.text
    revision = re.search(r'name="revision" value="(\d+)"', shown.text)
    own = {"csrf_token": token(shown)} | ({"revision": revision[1]} if revision else {})
    return await browser.post(to, data={**own, **fields})


async def created(account: Account, text: str, *, published: bool = False) -> str:
    made = await account.post("/v1/workflows", json={"name": "Greeting", "definition": text})
    assert made.status_code == 201, made.text
    id: str = made.json()["id"]
    if published:
        done = await account.post(f"/v1/workflows/{id}/publish")
        assert done.status_code == 201, done.text
    return f"/workflows/{id}"


async def test_a_workflow_is_written_published_paused_and_archived(browser: httpx2.AsyncClient) -> None:
    answer = await sent(browser, "/workflows/new", "/workflows/new", name="Quarterly <VAT>", description="")
    assert answer.status_code == 303, answer.text
    edit = answer.headers["location"].partition("?")[0]
    path = edit.removesuffix("/edit")
    assert "# The steps, carried out from top to bottom" in (await browser.get(edit)).text
    assert "Quarterly &lt;VAT&gt;" in (await browser.get("/workflows")).text

    answer = await sent(browser, edit, edit, text=BARE.replace("\n", "\r\n"), act="save")
    assert answer.headers["location"] == f"{edit}?done=saved"
    assert "# My note." in (await browser.get(edit)).text

    answer = await sent(browser, path, f"{path}/publish")
    assert answer.headers["location"] == f"{path}?done=published"
    assert "Version 1 runs" in (await browser.get(path)).text
    assert (await sent(browser, path, f"{path}/publish")).headers["location"] == f"{path}?done=unchanged"
    for move, word in (("pause", "Paused"), ("resume", "Active")):
        await sent(browser, path, f"{path}/{move}")
        assert f"</span> {word}</span>" in (await browser.get(path)).text
    assert (await sent(browser, path, f"{path}/archive")).status_code == 422  # not without being sure
    await sent(browser, path, f"{path}/archive", sure="yes")
    page = await browser.get(edit)
    assert "readonly" in page.text
    assert 'value="save"' not in page.text


async def test_name_and_description_change_without_the_definition(
    browser: httpx2.AsyncClient, account: Account
) -> None:
    path = await created(account, BARE)
    answer = await sent(
        browser, path, f"{path}/details", name="Other", description="What for", category="vat"
    )
    assert answer.headers["location"] == f"{path}?done=saved"
    page = (await browser.get(path)).text
    assert "What for" in page
    wrong = await sent(browser, path, f"{path}/details", name=" ", description="Typed, and not lost")
    assert wrong.status_code == 422
    assert "Typed, and not lost</textarea>" in wrong.text
    late = {"name": "Late", "revision": "1", "csrf_token": token(await browser.get(path))}
    assert (await browser.post(f"{path}/details", data=late)).status_code == 412


async def test_problems_are_listed_with_their_lines_without_scripts(
    browser: httpx2.AsyncClient, account: Account
) -> None:
    path = await created(account, BARE)
    broken = BARE.replace("hello}}", "hello}, then: Nowhere}")
    answer = await sent(browser, f"{path}/edit", f"{path}/edit", text=broken, act="check")
    assert answer.status_code == 200
    assert "Line 3" in answer.text
    assert "Nowhere" in answer.text
    assert "1 problem" in answer.text
    # As a draft it may be kept, but not published; and what was kept is not lost by that.
    answer = await sent(browser, f"{path}/edit", f"{path}/edit", text=broken, act="publish")
    assert answer.status_code == 422
    assert "Nowhere" in (await browser.get(f"{path}/edit")).text
    assert "cannot be published yet" in (await browser.get(path)).text
    # What is no workflow at all cannot be kept; the text stays in the page.
    answer = await sent(browser, f"{path}/edit", f"{path}/edit", text="do: [", act="save")
    assert answer.status_code == 422
    assert "do: [" in answer.text


async def test_a_colleagues_change_is_told_and_nothing_is_lost(
    browser: httpx2.AsyncClient, account: Account
) -> None:
    path = await created(account, BARE)
    page = await browser.get(f"{path}/edit")
    theirs = {"definition": "do:\n  - greet: {set: {text: hello}}\n  - theirs: {set: {b: 2}}\n"}
    change = await account.request("PATCH", f"/v1{path}", json=theirs, headers={"If-Match": '"1"'})
    assert change.status_code == 200
    mine = {
        "csrf_token": token(page),
        "revision": "1",
        "act": "save",
        "text": BARE + "  - mine: {set: {c: 3}}\n",
    }
    answer = await browser.post(f"{path}/edit", data=mine)
    assert answer.status_code == 412
    assert "- mine:" in answer.text
    assert re.search(r"Removed</span>\s+step <strong>theirs", answer.text)
    assert re.search(r"Added</span>\s+step <strong>mine", answer.text)
    stored = (await account.get(f"/v1{path}")).json()
    assert [next(iter(each)) for each in stored["definition"]["do"]] == ["greet", "theirs"]
    # Sent again from that page it is knowingly saved over it.
    again = {**mine, "revision": "2", "csrf_token": token(answer)}
    assert (await browser.post(f"{path}/edit", data=again)).status_code == 303


async def test_versions_are_listed_shown_and_compared(browser: httpx2.AsyncClient, account: Account) -> None:
    path = await created(account, BARE, published=True)
    await sent(browser, f"{path}/edit", f"{path}/edit", text=BARE.replace("hello", "good day"), act="publish")
    listed = (await browser.get(f"{path}/versions")).text
    assert "Version 2" in listed
    assert "Mara Lind" in listed
    assert "hello" in (await browser.get(f"{path}/versions/1")).text
    changed = (await browser.get(f"{path}/compare", params={"from": "1", "to": "2"})).text
    assert "good day" in changed
    assert "set/\u200btext" in changed
    assert "No difference" in (await browser.get(f"{path}/compare")).text
    for wrong in ("9", "-1", "x", "99999999999999999999"):
        assert (await browser.get(f"{path}/compare", params={"to": wrong})).status_code == 404, wrong
    assert (await browser.get(f"{path}/versions/9")).status_code == 404


async def test_a_form_starts_one_execution(
    world: World, browser: httpx2.AsyncClient, account: Account
) -> None:
    path = await created(account, ASKS)
    assert (await browser.get(f"{path}/start")).status_code == 409  # nothing is published
    assert (await account.post(f"/v1{path}/publish")).status_code == 201
    page = await browser.get(f"{path}/start")
    once = re.search(r'name="once" value="([^"]+)"', page.text)
    assert once
    form = {"csrf_token": token(page), "once": once[1], "data/client": "A"}
    wrong = await browser.post(f"{path}/start", data=form)
    assert wrong.status_code == 422
    assert 'value="A"' in wrong.text
    assert not world.dispatcher.entries
    good = {**form, "data/client": "Ada"}
    first, second = [await browser.post(f"{path}/start", data=good) for _ in range(2)]
    assert first.status_code == 303, first.text
    assert first.headers["location"] == second.headers["location"]
    other = await browser.post(f"{path}/start", data={**good, "data/client": "Ben"})
    assert other.headers["location"] != first.headers["location"]
    started = (await account.get("/v1/executions")).json()["items"]
    assert len(started) == 2
    id = first.headers["location"].removeprefix("/executions/").partition("?")[0]
    assert (await account.get(f"/v1/executions/{id}")).json()["input"] == {"client": "Ada"}


async def test_a_dry_run_shows_its_trace_and_takes_other_answers(
    browser: httpx2.AsyncClient, account: Account
) -> None:
    path = await created(account, ASKS)
    test = f"{path}/test"
    for how, taken in (("approved", "true"), ("rejected", "false")):
        fields = {"data/client": "Ada", "mock:/do/0/Decide#how": how}
        answer = await sent(browser, test, test, **fields)
        assert answer.status_code == 200, answer.text
        assert re.search(rf'taken&#34;</span>: <span class="w">{taken}', answer.text)
        assert "Take on Ada" in answer.text
    answer = await sent(browser, test, test, **{"data/client": "Ada", "mock:/do/0/Decide": "{nonsense"})
    assert answer.status_code == 422
    assert "is no JSON" in answer.text
    answer = await sent(browser, test, test, **{"data/client": "Ada", "mock:/do/0/Decide": '{"never": true}'})
    assert "Waits for your answer" in answer.text or "never answered" in answer.text
    assert not (await account.get("/v1/executions")).json()["items"]


async def test_a_template_becomes_a_workflow(browser: httpx2.AsyncClient, account: Account) -> None:
    gallery = (await browser.get("/templates")).text
    slugs = re.findall(r'href="/templates/([a-z-]+)"', gallery)
    assert len(slugs) >= 5
    ids = re.findall(r'\bid="([^"]+)"', gallery)
    assert len(ids) == len(set(ids))
    page = f"/templates/{slugs[0]}"
    assert (await sent(browser, page, f"{page}/instantiate", workflow_name="Ours")).status_code == 422
    shown = (await browser.get(page)).text
    fields = dict(re.findall(r'name="(data/[^"]+)" value="([^"]*)"', shown))
    answer = await sent(browser, page, f"{page}/instantiate", workflow_name="", **fields)
    assert answer.status_code == 422
    answer = await sent(browser, page, f"{page}/instantiate", workflow_name="Ours", **fields)
    assert answer.status_code == 303, answer.text
    path = answer.headers["location"].partition("?")[0]
    shown = (await browser.get(path)).text
    assert f'href="{page}"' in shown
    assert "Publish" in shown
    assert (await browser.get("/templates/none")).status_code == 404


async def test_strangers_and_readers(world: World, browser: httpx2.AsyncClient, account: Account) -> None:
    path = await created(account, ASKS, published=True)
    stranger = await world.account("Elsewhere")
    async with world.browser() as other:
        await sign_in(other, stranger.email)
        pages = ("", "/edit", "/versions", "/versions/1", "/compare", "/start", "/test")
        for page in pages:
            foreign = await other.get(path + page)
            unknown = await other.get(f"/workflows/{uuid4()}{page}")
            assert foreign.status_code == unknown.status_code == 404, page
        home = await other.get("/workflows")
        assert "Greeting" not in home.text
        for act in ("/publish", "/pause", "/archive", "/edit", "/details", "/start", "/test"):
            posted = {"csrf_token": token(home), "sure": "yes", "text": BARE, "act": "save", "name": "x"}
            assert (await other.post(path + act, data={**posted, "revision": "2"})).status_code == 404, act
    assert (await browser.post(f"{path}/pause", data={})).status_code == 403  # no token: no form of ours
    async with world.browser() as nobody:
        answer = await nobody.get(f"{path}/edit")
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login")


async def test_publishing_says_what_it_leaves_alone(browser: httpx2.AsyncClient, account: Account) -> None:
    path = await created(account, BARE, published=True)
    assert (await account.post(f"/v1{path}/executions", json={})).status_code == 202
    await sent(browser, f"{path}/edit", f"{path}/edit", text=BARE.replace("hello", "good day"), act="save")
    assert "1 execution under way keeps the version it began with" in (await browser.get(path)).text
    assert "1 under way" in (await browser.get(f"{path}/versions")).text


async def test_a_webhook_is_given_its_secret_which_is_shown_once(
    browser: httpx2.AsyncClient, account: Account
) -> None:
    hook = {"type": "webhook", "name": "paid", "configuration": {"scheme": "standard-webhooks"}}
    text = f"name: Hooked\ntriggers: [{orjson.dumps(hook).decode()}]\ndefinition: {{do: [{{a: {{set: {{b: 1}}}}}}]}}\n"
    path = await created(account, BARE)
    await sent(browser, f"{path}/edit", f"{path}/edit", text=text, act="publish")
    page = await browser.get(path)
    assert "refuses everything until it has a secret" in page.text
    action = re.search(rf'action="({path}/triggers/[^"]+/secret)"', page.text)
    assert action
    made = await sent(browser, path, action[1], secret="")
    assert re.search(r"whsec_[A-Za-z0-9+/=&#;]{20,}", made.text)
    page = await browser.get(path)
    assert "whsec_" not in page.text
    assert "refuses everything" not in page.text
    assert (await sent(browser, path, action[1], secret="short")).status_code == 422

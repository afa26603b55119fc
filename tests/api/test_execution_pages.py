"""The pages of executions as a browser without scripts uses them."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.actions.registry import built_in
from api.app import create_app
from db.executions import ExecutionStep, WorkflowExecution
from domain.actions import Catalogue
from domain.permissions import RoleName
from tests.api.conftest import SECURITY, Account, World
from tests.api.test_pages import sign_in, token
from tests.factories.rows import member, row

BEGAN = datetime(2026, 11, 20, 9, tzinfo=UTC)
DEFINITION = {
    "do": [
        {"read": {"set": {"a": 1}}},
        {"each": {"for": {"each": "n", "in": "[1, 2]"}, "do": [{"note": {"set": {"n": "${ $n }"}}}]}},
        {"file": {"call": "http", "with": {"method": "post", "endpoint": "https://example.org/"}}},
    ]
}


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(built_in().every_spec())


@dataclass
class Desk:
    """Mara at a browser, with a published workflow, and a way to write what its executions did."""

    http: httpx2.AsyncClient
    account: Account
    workflow_id: str
    behind: AsyncConnection
    world: World

    async def execution(self, status: str = "running", **values: Any) -> UUID:
        workflows = await self.account.get(f"/v1/workflows/{self.workflow_id}")
        version = workflows.json()["published_version_id"]
        is_over = status in ("completed", "failed", "cancelled")
        given = {
            "workflow_id": UUID(self.workflow_id),
            "workflow_version_id": UUID(version),
            "status": status,
            "trigger_data": {"input": {"client": "Harbour <Bakery>"}},
            "trigger_event": "manual:api",
            "started_at": BEGAN,
            "created_at": BEGAN,
            "completed_at": BEGAN + timedelta(seconds=9) if is_over else None,
            "temporal_workflow_id": f"{self.account.organization_id}/workflow/{uuid4()}",
            **values,
        }
        made = await row(self.behind, "workflow_executions", UUID(self.account.organization_id), **given)
        id: UUID = made["id"]
        return id

    async def steps(self, id: UUID, *lines: dict[str, Any]) -> None:
        counts: dict[str, int] = {}
        for position, line in enumerate(lines, 1):
            pointer = line["pointer"]
            counts[pointer] = counts.get(pointer, 0) + 1
            at = BEGAN + timedelta(seconds=position)
            values = {
                "organization_id": UUID(self.account.organization_id),
                "execution_id": id,
                "occurrence": f"{pointer}#{counts[pointer]}",
                "name": pointer.rpartition("/")[2],
                "kind": "call",
                "visit": counts[pointer],
                "position": position,
                "status": "completed",
                "started_at": at,
                "completed_at": at + timedelta(seconds=1),
                **line,
            }
            await self.behind.execute(insert(ExecutionStep).values(**values))

    async def page(self, path: str, status: int = 200) -> str:
        answer = await self.http.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    async def send(self, path: str, from_page: str, **fields: str) -> httpx2.Response:
        shown = await self.http.get(from_page)
        return await self.http.post(path, data={"csrf_token": token(shown), **fields})


@pytest.fixture
async def desk(world: World, account: Account, behind: AsyncConnection) -> AsyncIterator[Desk]:
    made = await account.post(
        "/v1/workflows",
        json={"name": "Onboarding & more", "definition": DEFINITION, "visibility": "organization"},
    )
    assert made.status_code == 201, made.text
    id = made.json()["id"]
    assert (await account.post(f"/v1/workflows/{id}/publish")).status_code == 201
    async with world.browser() as http:
        await sign_in(http, account.email)
        yield Desk(http, account, id, behind, world)


def text_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


FILE = {"pointer": "/do/2/file", "action": "http.request:1.0.0"}
ERROR = {
    "type": "https://serverlessworkflow.io/spec/1.0.0/errors/communication",
    "title": "Service unavailable",
    "status": 503,
    "detail": "example.org does not <answer>",
    "instance": "/do/2/file",
}


async def test_a_run_page_shows_steps_input_and_error_with_its_place(desk: Desk) -> None:
    id = await desk.execution("failed", error=ERROR, error_message="Service unavailable: it does not answer")
    await desk.steps(
        id, {"pointer": "/do/0/read", "kind": "set"}, {**FILE, "status": "failed", "error": ERROR}
    )
    page = await desk.page(f"/executions/{id}")
    told = text_of(page)
    assert "Onboarding & more" in told
    assert "Service unavailable" in told
    assert "Harbour <Bakery>" in told
    assert "<Bakery>" not in page
    place = quote("/do/2/file#1", safe="")
    assert re.search(rf'<a href="/executions/{id}\?step={place}#step"[^>]*><code>/do/2/file</code>', page)
    assert {"Completed:", "Failed:"} <= set(told.split()), "not by colour alone"


async def test_what_an_execution_started_is_a_list_where_there_is_any(desk: Desk) -> None:
    parent = await desk.execution()
    assert "Executions it started" not in await desk.page(f"/executions/{parent}")
    child = await desk.execution(parent_id=parent)
    assert f'href="/executions?parent_id={parent}"' in await desk.page(f"/executions/{parent}")
    assert str(child) in await desk.page(f"/executions?parent_id={parent}")


async def test_an_error_may_say_little(desk: Desk) -> None:
    little = {"type": "https://example.org/errors/no", "status": 400}
    id = await desk.execution("failed", error=little, error_message="No")
    await desk.steps(id, {**FILE, "status": "failed", "error": little})
    for query in ("", f"?at={quote('/do/2/file')}"):
        assert "https://example.org/errors/no" in text_of(await desk.page(f"/executions/{id}{query}"))


async def test_a_step_is_chosen_by_its_address(desk: Desk) -> None:
    id = await desk.execution()
    await desk.steps(
        id,
        {**FILE, "status": "failed", "error": ERROR, "input": {"try": "first"}},
        {**FILE, "attempt": 3, "input": {"try": "second"}, "output": {"reference": "REF-77"}},
    )
    first = text_of(await desk.page(f"/executions/{id}?step={quote('/do/2/file#1')}"))
    assert '"first"' in first
    assert "does not <answer>" in first
    assert "REF-77" not in first
    second = text_of(await desk.page(f"/executions/{id}?step={quote('/do/2/file#2')}"))
    assert "REF-77" in second
    assert "Attempts 3" in second
    latest = text_of(await desk.page(f"/executions/{id}?at={quote('/do/2/file')}"))
    assert "REF-77" in latest
    unknown = text_of(await desk.page(f"/executions/{id}?step=/do/9/none%231"))
    assert "has no step /do/9/none#1" in unknown


def at(seconds: float) -> str:
    return (BEGAN + timedelta(seconds=seconds)).isoformat()


async def test_every_attempt_at_a_step_is_told(desk: Desk) -> None:
    broken = {"title": "Connection <failed>", "status": 502, "detail": "it <hung> up"}
    made = [
        {"number": 1, "began": at(1)},
        {"number": 24, "began": at(2), "ended": at(3), "error": broken, "retry": at(4)},
        {"number": 25, "began": at(4), "ended": at(5), "error": {"status": 503}, "retry": at(7)},
    ]
    line = {**FILE, "attempt": 25, "attempts": {"run": "r", "made": made}, "completed_at": None}
    id = await desk.execution()
    await desk.steps(id, {**line, "status": "running"})
    place = f"/executions/{id}?step={quote('/do/2/file#1')}"
    page = await desk.page(place)
    told = text_of(page)
    assert "• Lost Began" in told
    assert "No worker told how it ended" in told
    assert "22 before it are not kept." in told
    assert "Connection <failed> 502 it <hung> up" in told
    assert "<hung>" not in page
    assert told.count("Tried again") == 1
    assert re.search(r'<details class="attempts"[^>]* open>', page)
    explained = text_of(page.partition('class="explain')[2].partition("</div>")[0])
    assert "“file” did not succeed and is tried again now. Its attempt 25 failed." in explained

    async def ended(status: str, **values: Any) -> str:
        change = update(ExecutionStep).where(ExecutionStep.execution_id == id)
        await desk.behind.execute(change.values(status=status, completed_at=BEGAN, **values))
        return await desk.page(place)

    page = await ended("completed")
    assert "Tried again" not in text_of(page)
    assert re.search(r'<details class="attempts"[^>]*>', page)
    assert not re.search(r'<details class="attempts"[^>]* open>', page)
    last = [*made[:2], {"number": 25, "began": at(4)}]
    page = await ended("failed", error=ERROR, attempts={"run": "r", "made": last})
    assert text_of(page).count("Service unavailable") == 1, "the step's own error is told above"
    [step] = (await desk.account.get(f"/v1/executions/{id}/steps")).json()["items"]
    assert [(each["number"], each["status"]) for each in step["attempts"]] == [
        (1, "lost"),
        (24, "failed"),
        (25, "failed"),
    ]
    assert step["attempts"][-1]["error"] == ERROR


async def test_the_definition_of_a_step_stands_beside_its_values(desk: Desk) -> None:
    id = await desk.execution()
    await desk.steps(id, FILE)
    page = await desk.page(f"/executions/{id}?at={quote('/do/2/file')}")
    assert "Definition as version 1 writes it" in text_of(page)
    assert '"endpoint" : "https://example.org/"' in text_of(page)


async def test_the_event_it_listens_to_is_proposed(desk: Desk) -> None:
    waits = {"kind": "event", "step": "hear", "types": ["com.example.paid"]}
    id = await desk.execution("waiting", waiting_on=waits)
    page = await desk.page(f"/executions/{id}")
    assert re.search(r'name="type"[^>]* value="com.example.paid"', page)


async def test_operators_find_it_in_the_temporal_ui_and_others_do_not(desk: Desk) -> None:
    id = await desk.execution()
    parts = desk.world.app.state.collaborators
    parts = replace(parts, temporal_ui_url="https://temporal.example", temporal_namespace="pro d")
    link = (
        f"https://temporal.example/namespaces/pro%20d/workflows/{desk.account.organization_id}%2Fworkflow%2F"
    )
    colleague = await desk.world.account("Own")
    await member(desk.behind, UUID(desk.account.organization_id), user_id=UUID(colleague.user_id))
    transport = httpx2.ASGITransport(app=create_app(parts))
    for email, sees in ((desk.account.email, True), (colleague.email, False)):
        async with httpx2.AsyncClient(transport=transport, base_url=SECURITY.public_url) as http:
            await sign_in(http, email)
            form = {"csrf_token": token(await http.get("/")), "organization_id": desk.account.organization_id}
            await http.post("/organization", data=form)
            page = await http.get(f"/executions/{id}")
            assert page.status_code == 200
            assert (link in page.text) is sees


async def test_large_values_are_folded_and_cut(desk: Desk) -> None:
    id = await desk.execution()
    await desk.steps(id, {**FILE, "output": [{"n": n, "text": "x" * 90} for n in range(600)]})
    page = await desk.page(f"/executions/{id}?step={quote('/do/2/file#1')}")
    assert re.search(
        r"<details data-key=\"Output\"><summary><h3>Output</h3> <span class=\"quiet\">2402 lines", page
    )
    assert "the first 40 KB" in page
    assert len(page) < 200_000


async def test_a_loop_of_hundreds_is_folded_and_opened_by_links(desk: Desk) -> None:
    id = await desk.execution("completed")
    rounds = [{"pointer": "/do/1/each/do/0/note", "kind": "set"} for _ in range(300)]
    await desk.steps(id, {"pointer": "/do/1/each", "kind": "for"}, *rounds)
    page = await desk.page(f"/executions/{id}")
    assert page.count('scope="row"') < 20
    [link] = re.findall(
        r'<a href="([^"]+)"[^>]*><span class="mark"[^>]*>⋮</span><span class="name">Rounds 3.', page
    )
    opened = await desk.page(unescape(link))
    assert page.count('scope="row"') + 99 == opened.count('scope="row"')
    assert "Fold everything again" in opened


@pytest.mark.parametrize("path", ["", "/graph", "/rerun"])
async def test_foreign_and_unknown_executions_are_alike(desk: Desk, path: str) -> None:
    id = await desk.execution("completed")
    await desk.steps(id, FILE)
    stranger = await desk.world.account("Elsewhere")
    async with desk.world.browser() as other:
        await sign_in(other, stranger.email)
        foreign = await other.get(f"/executions/{id}{path}")
        unknown = await other.get(f"/executions/{uuid4()}{path}")
        malformed = await other.get(f"/executions/nonsense{path}")
        assert [each.status_code for each in (foreign, unknown, malformed)] == [404, 404, 404]
        assert "Onboarding" not in foreign.text
        assert str(id) not in (await other.get("/executions?all_kinds=yes")).text
    assert (await desk.http.get(f"/executions/{id}{path}")).status_code == 200


async def test_nobody_looks_without_signing_in(desk: Desk) -> None:
    id = await desk.execution()
    async with desk.world.browser() as nobody:
        for path in ("/executions", f"/executions/{id}", f"/executions/{id}/graph"):
            answer = await nobody.get(path)
            assert answer.status_code == 303
            assert answer.headers["location"] == f"/login?next={quote(path, safe='')}"
        sent = await nobody.post(f"/executions/{id}/cancel", data={})
        assert sent.status_code == 303


async def test_holding_and_going_on_are_asked_of_the_engine(desk: Desk) -> None:
    id = await desk.execution()
    here = f"/executions/{id}"
    paused = await desk.send(f"{here}/pause", here)
    assert paused.headers["location"] == f"{here}?done=pausing"
    assert [entry.payload["signal"] for entry in desk.world.dispatcher.entries[-1:]] == ["pause"]
    page = await desk.page(f"{here}?done=pausing")
    assert "was asked to hold" in text_of(page)
    assert f'action="{here}/resume"' in page
    await desk.send(f"{here}/resume", here)
    assert desk.world.dispatcher.entries[-1].payload["signal"] == "resume"


async def test_cancelling_tells_the_engine_why_and_twice_is_once(desk: Desk) -> None:
    id = await desk.execution()
    here = f"/executions/{id}"
    before = len(desk.world.dispatcher.entries)
    for _ in range(2):
        answer = await desk.send(f"{here}/cancel", here, reason="a mistake")
        assert answer.headers["location"] == f"{here}?done=cancelling"
    [entry] = desk.world.dispatcher.entries[before:]
    assert entry.payload == {"reason": "a mistake"}
    assert "asked to stop" in text_of(await desk.page(here))


async def test_what_cannot_be_done_any_more_is_said_on_the_page(desk: Desk) -> None:
    id = await desk.execution()
    here = f"/executions/{id}"
    shown = await desk.http.get(here)
    await desk.behind.execute(
        update(WorkflowExecution)
        .where(WorkflowExecution.id == id)
        .values(status="completed", completed_at=BEGAN + timedelta(seconds=5))
    )
    answer = await desk.http.post(f"{here}/cancel", data={"csrf_token": token(shown)})
    assert answer.status_code == 409
    assert "Not done." in answer.text
    assert "nothing left to cancel" in answer.text
    assert f'action="{here}/cancel"' not in answer.text


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"type": "paid", "data": '{"order": 7'}, "no JSON (line 1, column 12)"),
        ({"type": "", "data": "{}"}, "type"),
        ({"type": "paid", "data": f'"{"x" * 17_000}"'}, "16 KB"),
    ],
)
async def test_an_event_that_cannot_be_sent_names_its_field(
    desk: Desk, fields: dict[str, str], told: str
) -> None:
    id = await desk.execution()
    before = len(desk.world.dispatcher.entries)
    answer = await desk.send(f"/executions/{id}/signal", f"/executions/{id}", **fields)
    assert answer.status_code == 422
    assert told in text_of(answer.text)
    assert '<details class="panel" data-key="panel Send event…" open>' in answer.text
    for typed in fields.values():
        assert typed in unescape(answer.text)
    assert len(desk.world.dispatcher.entries) == before


async def test_an_event_sent_twice_from_one_page_is_one(desk: Desk) -> None:
    id = await desk.execution()
    here = f"/executions/{id}"
    shown = await desk.http.get(here)
    [signal_id] = re.findall(r'name="id" value="([^"]+)"', shown.text)
    fields = {"csrf_token": token(shown), "id": signal_id, "type": "paid", "data": '{"order": 7}'}
    before = len(desk.world.dispatcher.entries)
    for _ in range(2):
        assert (await desk.http.post(f"{here}/signal", data=fields)).status_code == 303
    [entry] = desk.world.dispatcher.entries[before:]
    assert entry.payload["arguments"]["data"] == {"order": 7}


async def test_buttons_are_only_for_those_who_may(desk: Desk, world: World) -> None:
    id = await desk.execution()
    organization = UUID(desk.account.organization_id)
    person = await world.account("Own")
    await member(desk.behind, organization, role=RoleName.AUDITOR, user_id=UUID(person.user_id))
    async with world.browser() as http:
        await sign_in(http, person.email)
        home = await http.get("/")
        switched = await http.post(
            "/organization", data={"csrf_token": token(home), "organization_id": str(organization)}
        )
        assert switched.status_code == 303
        page = await http.get(f"/executions/{id}")
        assert page.status_code == 200
        for verb in ("cancel", "pause", "signal"):
            assert f"/executions/{id}/{verb}" not in page.text
            sent = await http.post(f"/executions/{id}/{verb}", data={"csrf_token": token(page)})
            assert sent.status_code == 403, verb
        assert 'name="act"' not in (await http.get("/executions")).text


async def test_forms_of_other_sites_do_nothing(desk: Desk) -> None:
    id = await desk.execution()
    for verb in ("cancel", "pause", "resume", "signal", "rerun"):
        assert (await desk.http.post(f"/executions/{id}/{verb}", data={})).status_code == 403


async def test_the_list_is_narrowed_by_its_address(desk: Desk) -> None:
    failed = await desk.execution("failed", error_message="Broken at the harbour")
    waiting = await desk.execution("waiting", waiting_on={"kind": "task", "title": "Approve Ada"})
    late = await desk.execution(created_at=BEGAN + timedelta(days=2))
    process = await desk.execution("completed", kind="mail")
    everything = {failed, waiting, late, process}

    async def shown(query: str) -> set[UUID]:
        page = await desk.page(f"/executions{query}")
        return {id for id in everything if str(id) in page}

    assert await shown("") == {failed, waiting, late}
    assert await shown("?all_kinds=yes") == everything
    assert await shown("?status=failed&status=timed_out") == {failed}
    assert await shown("?from=2026-11-21") == {late}
    assert await shown("?to=2026-11-20") == {failed, waiting}
    assert await shown(f"?workflow_id={desk.workflow_id}&trigger=manual") == {failed, waiting, late}
    assert await shown(f"?workflow_id={uuid4()}") == set()
    told = text_of(await desk.page("/executions"))
    assert "Broken at the harbour" in told
    assert "Waits for: Approve Ada" in told


@pytest.mark.parametrize("query", ["?status=happy", "?from=31.1.2026", "?trigger=moon", "?workflow_id=1"])
async def test_a_filter_that_means_nothing_is_said_on_the_list(desk: Desk, query: str) -> None:
    id = await desk.execution()
    answer = await desk.http.get(f"/executions{query}")
    assert answer.status_code in (404, 422)
    assert "Not done." in answer.text
    assert str(id) not in answer.text


async def test_pages_of_the_list_follow_each_other_with_their_filters(desk: Desk) -> None:
    ids = [await desk.execution(created_at=BEGAN + timedelta(minutes=n)) for n in range(5)]
    path: str | None = "/executions?status=running&limit=2"
    seen: list[str] = []
    while path:
        page = await desk.page(path)
        seen += re.findall(r'<a href="/executions/([0-9a-f-]{36})"><strong>', page)
        found = re.search(r'href="([^"]+)" rel="next"', page)
        path = f"{unescape(found[1])}&limit=2" if found else None
        assert path is None or "status=running" in path
    assert seen == [str(id) for id in reversed(ids)]


async def test_the_graph_shows_how_far_it_is_and_the_same_in_words(desk: Desk) -> None:
    id = await desk.execution()
    await desk.steps(id, {"pointer": "/do/0/read", "kind": "set"}, {**FILE, "status": "running"})
    page = await desk.page(f"/executions/{id}/graph")
    assert "perdure-graph" in page
    assert "<style" not in page
    told = text_of(page)
    assert "read set ✓ Completed 1" in told
    assert "each for not entered 0" in told
    assert f"/executions/{id}?at=/do/2/file#step" in page


async def test_a_rerun_is_planned_confirmed_and_shown(desk: Desk) -> None:
    id = await desk.execution("failed", error=ERROR, error_message="broken", execution_context={})
    lines = [
        {"pointer": "/do/0/read", "kind": "set", "output": {"a": 1}},
        {"pointer": "/do/1/each", "kind": "for", "output": {"n": 2}},
        {"pointer": "/do/1/each/do/0/note", "kind": "set", "output": {"n": 1}},
        {"pointer": "/do/1/each/do/0/note", "kind": "set", "output": {"n": 2}},
        {**FILE, "status": "failed", "error": ERROR},
    ]
    await desk.steps(id, *lines)
    here = f"/executions/{id}/rerun"
    page = await desk.page(here)
    told = text_of(page)
    assert "Rerun from “file”" in told
    assert "⚠ Happens again and cannot be undone" in told
    fields = dict(re.findall(r'<input type="hidden" name="(from|confirm)" value="([^"]+)"', page))
    assert fields["from"] == "/do/2/file#1"

    before = len(desk.world.dispatcher.entries)
    unsure = await desk.send(here, here, **fields)
    assert unsure.status_code in (403, 409, 422)
    assert "Not done." in unsure.text
    stale = await desk.send(here, here, **{**fields, "confirm": "0" * 64}, irreversible="yes")
    assert (stale.status_code, "Not done." in stale.text) == (409, True)
    assert len(desk.world.dispatcher.entries) == before

    done = await desk.send(here, here, **fields, irreversible="yes")
    assert done.status_code == 303, done.text
    [entry] = desk.world.dispatcher.entries[before:]
    assert done.headers["location"] == f"/executions/{entry.execution_id}?done=rerun"
    again = text_of(await desk.page(done.headers["location"]))
    assert "Repeats an earlier execution from file on" in again
    assert "Repeated by" in text_of(await desk.page(f"/executions/{id}"))
    twice = await desk.send(here, here, **fields, irreversible="yes")
    assert twice.status_code == 409
    assert len(desk.world.dispatcher.entries) == before + 1


def hidden(page: str) -> dict[str, list[str]]:
    """The hidden fields of the form that begins a bulk operation."""
    [form] = re.findall(r'<form method="post" action="/executions/bulk">(.*?)</form>', page, re.S)
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form):
        fields.setdefault(name, []).append(unescape(value))
    return fields


async def test_chosen_executions_are_counted_then_cancelled_and_reported(desk: Desk) -> None:
    ids = [await desk.execution() for _ in range(3)]
    ended = await desk.execution("completed")
    listed = await desk.http.get("/executions")
    chosen = [str(ids[0]), str(ids[1]), str(ended)]
    form = {"csrf_token": token(listed), "act": "cancel", "id": chosen}
    page = await desk.http.post("/executions/selected", data=form)
    assert page.status_code == 200
    assert "Cancel 2 executions" in text_of(page.text), "what has ended is not counted"
    fields = hidden(page.text)
    begun = await desk.http.post("/executions/bulk", data={**fields, "reason": "too late"})
    assert begun.status_code == 303, begun.text
    again = await desk.http.post("/executions/bulk", data={**fields, "reason": "too late"})
    assert again.headers["location"] == begun.headers["location"], "a second click is the same operation"
    report = await desk.page(begun.headers["location"])
    assert "Cancel 2 executions" in text_of(report)
    assert {str(id) for id in (*ids, ended) if f"/executions/{id}" in report} == {str(ids[0]), str(ids[1])}
    assert "Cancel 2 executions too late" in text_of(await desk.page("/executions/bulk"))


async def test_another_number_than_was_shown_does_nothing(desk: Desk) -> None:
    await desk.execution("failed", error_message="broken")
    page = await desk.page("/executions/bulk?act=rerun&status=failed&from=2026-11-01")
    assert "Rerun 1 execution" in text_of(page)
    assert "Queued from 2026-11-01" in text_of(page)
    fields = hidden(page)
    await desk.execution("failed", error_message="broken too")
    before = len(desk.world.dispatcher.entries)
    refused = await desk.http.post("/executions/bulk", data=fields)
    assert refused.status_code == 409
    assert "Not done." in refused.text
    assert hidden(refused.text)["expected"] == ["2"]
    assert len(desk.world.dispatcher.entries) == before
    begun = await desk.http.post("/executions/bulk", data=hidden(refused.text))
    assert begun.status_code == 303


async def test_a_bulk_operation_is_stopped_once_and_means_something(desk: Desk) -> None:
    await desk.execution()
    fields = hidden(await desk.page("/executions/bulk?act=cancel"))
    begun = await desk.http.post("/executions/bulk", data=fields)
    here = begun.headers["location"].partition("?")[0]
    stopped = await desk.send(f"{here}/stop", here)
    assert stopped.headers["location"] == f"{here}?done=stopping"
    nothing = await desk.send("/executions/selected", "/executions", act="cancel")
    assert nothing.headers["location"] == "/executions?done=nothing"
    assert (await desk.http.get("/executions/bulk?act=explode")).status_code == 422
    assert (await desk.http.get(f"/executions/bulk/{uuid4()}")).status_code == 404
    assert (await desk.http.get("/executions/bulk?act=cancel&status=completed")).status_code == 200
    made_up = {**fields, "expected": ["0"], "key": [str(uuid4())]}
    assert (await desk.http.post("/executions/bulk", data=made_up)).status_code == 422

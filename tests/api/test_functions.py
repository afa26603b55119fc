"""Functions kept elsewhere: fetched from a real server when a workflow is published, and frozen with the version."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from activities.gateways.functions import WebFunctions
from api import functions as gathering
from domain.addresses import AddressPolicy
from domain.definitions.functions import MAX_FUNCTION_BYTES
from domain.definitions.program import load_program
from tests.api.house import House, house, problems
from tests.factories.driver import Execution

__all__ = ["house"]

DOUBLE = "input: {schema: {document: {type: object, required: [n]}}}\nset: {n: '${ .n * 2 }'}\n"
PATH = "/functions/double/1.0.0/function.yaml"


@dataclass
class Site:
    """A web server; `pages` are status, headers and body by path, `asked` what was asked for."""

    pages: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    port: int = 0

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._answer(await reader.readuntil(b"\r\n\r\n"), writer)
        finally:
            writer.transport.abort()

    async def _answer(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        path = request.split(b" ")[1].decode()
        self.asked.append(path)
        self.requests.append(request)
        page = self.pages.get(path, (404, {}, "nothing here"))
        if page == "silence":
            await asyncio.Event().wait()
        status, headers, body = page if isinstance(page, tuple) else (200, {}, page)
        content = body if isinstance(body, bytes) else body.encode()
        lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def site(house: House) -> AsyncIterator[Site]:
    """The house's organization may reach this server, and nothing else of the network around us."""
    site = Site()
    server = await asyncio.start_server(site.answer, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    allowed, public = AddressPolicy.allowing([("127.0.0.1", site.port)]), AddressPolicy.public()
    own = house.owner.organization_id
    source = WebFunctions(lambda organization: allowed if organization == own else public)
    parts = house.app.state.collaborators
    house.app.state.collaborators = replace(parts, functions=source)
    yield site
    server.close()
    for task in site.tasks:
        task.cancel()
    await asyncio.gather(*site.tasks, return_exceptions=True)


def _definition(call: str, root: str | None = None, **given: Any) -> dict[str, Any]:
    use = {} if root is None else {"use": {"catalogs": {"ours": {"endpoint": root}}}}
    return {"do": [{"go": {"call": call, "with": given}}], **use}


async def _publish(house: House, definition: Any, person: Any = None) -> tuple[str, Any]:
    person = person or house.owner
    created = await person.post("/v1/workflows", {"name": "Doubling", "definition": definition})
    assert created.status_code == 201, created.text
    id = created.json()["id"]
    return id, await person.post(f"/v1/workflows/{id}/publish")


async def _refusal(house: House, site: Site) -> str:
    """Why a workflow that calls the function of the site is not published."""
    _, answer = await _publish(house, _definition(site.root + PATH))
    assert answer.status_code == 422, answer.text
    assert list(problems(answer)) == ["/do/0/go/call"]
    detail: str = answer.json()["errors"][0]["detail"]
    assert f"The function at `{site.root}{PATH}`"[:60] in detail
    return detail


@pytest.mark.parametrize("call", ["double:1.0.0@ours", "address"])
async def test_a_function_is_fetched_and_frozen(house: House, site: Site, call: str) -> None:
    site.pages[PATH] = DOUBLE
    definition = _definition(site.root + PATH if call == "address" else call, site.root, n=21)
    verdict = await house.owner.post("/v1/workflows/validate", {"definition": definition})
    [note] = verdict.json()["problems"]
    assert (verdict.json()["valid"], note["severity"], note["code"]) == (True, "warning", "fetched_later")
    assert site.asked == []
    id, published = await _publish(house, definition)
    assert published.status_code == 201, published.text
    assert published.json()["warnings"] == []
    assert site.asked == [PATH]
    assert b"authorization" not in site.requests[0].lower()
    version = (await house.owner.get(f"/v1/workflows/{id}/versions/1")).json()
    [function] = version["functions"]
    assert (function["name"], function["address"]) == ("double", site.root + PATH)
    assert version["document"]["do"] == definition["do"]
    # What stands there later is another version's business.
    site.pages[PATH] = "set: {n: 0}"
    [row] = await house.everything("workflow_versions")
    assert Execution(load_program(row["compiled"]), {}).run().output == {"n": 42}
    again = await house.owner.post(f"/v1/workflows/{id}/publish")
    assert (again.status_code, again.json()["number"]) == (201, 2)
    assert again.json()["sha256"] != published.json()["sha256"]
    unchanged = await house.owner.post(f"/v1/workflows/{id}/publish")
    assert (unchanged.status_code, unchanged.json()["number"]) == (200, 2)


async def test_functions_that_functions_call_come_along(house: House, site: Site) -> None:
    site.pages[PATH] = f"do: [{{a: {{call: '{site.root}/inner.json', with: {{m: '${{ .n }}'}}}}}}]"
    site.pages["/inner.json"] = '{"set": {"got": "${ .m }"}}'
    _, published = await _publish(house, _definition(site.root + PATH, n=3))
    assert published.status_code == 201, published.text
    [row] = await house.everything("workflow_versions")
    assert Execution(load_program(row["compiled"]), {}).run().output == {"got": 3}
    assert site.asked == [PATH, "/inner.json"]


async def test_a_redirect_is_followed_and_its_target_judged(house: House, site: Site) -> None:
    site.pages[PATH] = (302, {"Location": "/moved.yaml"}, "")
    site.pages["/moved.yaml"] = DOUBLE
    _, published = await _publish(house, _definition(site.root + PATH, n=1))
    assert published.status_code == 201, published.text
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        site.pages[PATH] = (302, {"Location": f"http://127.0.0.1:{other.getsockname()[1]}/x"}, "")
        assert "is not allowed" in await _refusal(house, site)


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ((404, {}, ""), "the server answers 404"),
        ((200, {}, "x" * (MAX_FUNCTION_BYTES + 1)), "larger than the limit of 65536 bytes"),
        ((302, {"Location": PATH}, ""), "at most 3"),
        ((200, {}, "<html>"), "holds no object"),
        ((200, {}, "a: &x 1\nb: *x"), "neither YAML nor JSON"),
        ((200, {}, b"\xff\xfe"), "not UTF-8"),
        ((200, {}, "run: {shell: {command: ls}}"), "`run: shell` is refused"),
        ((200, {}, "set: {a: '${ . | }'}"), "at /set/a"),
    ],
)
async def test_what_cannot_be_used_is_told_where_it_is_called(
    house: House, site: Site, page: Any, why: str
) -> None:
    site.pages[PATH] = page
    assert why in await _refusal(house, site)
    assert await house.everything("workflow_versions") == []


async def test_a_server_that_is_silent_or_gone(
    house: House, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages[PATH] = "silence"
    monkeypatch.setattr(gathering, "SECONDS", 0.2)
    assert "not to be had within 0.2 seconds" in await _refusal(house, site)
    with socket.socket() as gone:
        gone.bind(("127.0.0.1", 0))
        definition = _definition(f"http://127.0.0.1:{gone.getsockname()[1]}/f.yaml")
        _, answer = await _publish(house, definition)
    assert (answer.status_code, list(problems(answer))) == (422, ["/do/0/go/call"])


async def test_another_organization_reaches_nothing_around_us(house: House, site: Site) -> None:
    site.pages[PATH] = DOUBLE
    _, answer = await _publish(house, _definition(site.root + PATH), house.stranger)
    assert answer.status_code == 422
    assert site.asked == []


async def test_nothing_is_fetched_for_a_draft_with_mistakes(house: House, site: Site) -> None:
    definition = _definition(site.root + PATH)
    definition["do"].append({"bad": {"call": "nothing"}})
    _, answer = await _publish(house, definition)
    assert answer.status_code == 422
    assert "/do/1/bad/call" in problems(answer)
    assert site.asked == []


async def test_only_so_many_functions_are_fetched(house: House, site: Site) -> None:
    do = [{f"s{n}": {"call": f"{site.root}/{n}"}} for n in range(22)]
    site.pages |= {f"/{n}": "set: {a: 1}" for n in range(22)}
    _, answer = await _publish(house, {"do": do})
    assert answer.status_code == 422
    assert len(problems(answer)) == 2
    assert "at most 20 functions" in answer.json()["errors"][0]["detail"]
    assert len(site.asked) == 20


async def test_a_draft_changed_meanwhile_is_not_published_half(house: House, site: Site) -> None:
    site.pages[PATH] = DOUBLE
    source = house.app.state.collaborators.functions
    created = await house.owner.post(
        "/v1/workflows", {"name": "Doubling", "definition": _definition(site.root + PATH)}
    )
    path, tag = created.headers["location"], created.headers["etag"]
    other = _definition(f"{site.root}/other.yaml")

    class Slow:
        async def fetch(self, organization_id: Any, address: str) -> bytes:
            changed = await house.owner.change(path, {"definition": other}, tag)
            assert changed.status_code == 200
            text: bytes = await source.fetch(organization_id, address)
            return text

    house.app.state.collaborators = replace(house.app.state.collaborators, functions=Slow())
    answer = await house.owner.post(f"{path}/publish")
    assert answer.status_code == 409, answer.text
    assert await house.everything("workflow_versions") == []

"""Whose word on a visitor's address counts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from tests.workflows.engine import settings_for
from workers.devstack import ports
from workers.node import server_for
from workers.settings import SettingsError


async def _visitor(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
    request = Request(scope, receive)
    await PlainTextResponse(request.client.host if request.client else "")(scope, receive, send)


@contextlib.asynccontextmanager
async def _serving(trusted: str) -> AsyncIterator[httpx2.AsyncClient]:
    settings = settings_for(
        "postgresql://nobody@127.0.0.1:1/none", "127.0.0.1:1", port=ports.any_free(), trusted_proxies=trusted
    )
    server = server_for(_visitor, settings)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn tells it no other way
        await asyncio.sleep(0.01)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{settings.port}", trust_env=False) as http:
        yield http
    server.should_exit = True
    await serving


@pytest.mark.parametrize(
    ("trusted", "seen"), [("", "127.0.0.1"), ("10.1.2.3", "127.0.0.1"), ("127.0.0.0/8", "6.6.6.6")]
)
async def test_only_a_trusted_proxy_says_who_the_visitor_is(trusted: str, seen: str) -> None:
    async with _serving(trusted) as http:
        assert (await http.get("/", headers={"X-Forwarded-For": "6.6.6.6"})).text == seen


def test_what_is_no_address_is_refused_with_its_mend() -> None:
    with pytest.raises(SettingsError, match=r"PERDURE_TRUSTED_PROXIES: 'proxy' is no address or network"):
        settings_for("postgresql://nobody@127.0.0.1:1/none", "127.0.0.1:1", trusted_proxies="proxy")

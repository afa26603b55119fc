"""Tokens and the secrets they are asked for with: they reach authority and receiver, and nothing else."""

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from domain.addresses import AddressPolicy
from tests.activities.authority import Authority
from tests.activities.conftest import serve as serve
from tests.workflows.engine import Engine
from tests.workflows.test_secret_use import everywhere, opened, put

SECRET = "s3cret/canary+&of-runtime"


@pytest.fixture
async def authority(engine: Engine, serve: Any) -> Authority:
    authority = Authority(secret=SECRET)
    authority.site.peer = await serve(authority.site)
    policy = AddressPolicy.allowing([("127.0.0.1", authority.site.peer.port)])
    activities = engine.parts.activities
    activities._services = replace(activities._services, http_policy=lambda _: policy)
    return authority


async def run(engine: Engine, definition: dict[str, Any]) -> Any:
    created = await engine.post("/v1/workflows", {"name": "authenticated", "definition": definition})
    await engine.post(f"/v1/workflows/{created['id']}/publish", {})
    return await engine.ended((await engine.start(created["id"], {"realm": "realm"}))["id"])


@pytest.mark.parametrize("form", ["named", "whole"])
async def test_a_token_reaches_its_receiver_and_nothing_else(
    form: str, engine: Engine, authority: Authority, admin_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, "httpcore2")  # as `workers.logs` does: it would tell every header
    policy = {
        "authority": f"{authority.site.url}/{{realm}}",
        "grant": "client_credentials",
        "client": {
            "id": "runtime",
            "secret": "${ $secrets.api_key }",
            "authentication": "client_secret_basic",
        },
    }
    if form == "named":
        await put(engine, "api_key", SECRET)
    else:
        whole = {**policy, "authority": authority.realm, "client": {"id": "runtime", "secret": SECRET}}
        await put(engine, "api_key", json.dumps(whole))
    written = policy if form == "named" else {"use": "api_key"}
    endpoint = {"uri": f"{authority.site.url}/api", "authentication": {"use": "partner"}}
    document = {"openapi": "3.0.0", "paths": {"/api": {"get": {"operationId": "look"}}}}
    authority.site.routes["/doc"] = lambda _: (200, {}, document)
    described = {
        "document": {"endpoint": f"{authority.site.url}/doc"},
        "operationId": "look",
        "authentication": {"use": "partner"},
    }
    call = {"method": "get", "endpoint": endpoint, "output": "response"}
    ended = await run(
        engine,
        {
            "use": {"authentications": {"partner": {"oauth2": written}}},
            "do": [
                {"first": {"call": "http", "with": call}},
                {"input": {"set": {"realm": "realm"}}},
                {"second": {"call": "openapi", "with": described}},
            ],
        },
    )
    assert ended["status"] == "completed", ended
    assert len(authority.issued) == 1, "both calls use one token"
    assert ended["output"]["token"] == "[secret access_token]"
    id = str(ended["id"])
    kept = (await opened(engine, id)) + (await everywhere(engine, admin_url)) + caplog.text
    for canary in (authority.issued[0], SECRET, "s3cret%2Fcanary"):
        assert canary not in kept, canary


async def test_an_authority_that_refuses_is_an_error_the_definition_can_catch(
    engine: Engine, authority: Authority
) -> None:
    await put(engine, "api_key", "wrong-secret-value")
    policy = {
        "authority": authority.realm,
        "grant": "client_credentials",
        "client": {"id": "runtime", "secret": "${ $secrets.api_key }"},
    }
    endpoint = {"uri": f"{authority.site.url}/api", "authentication": {"oauth2": policy}}
    ask = {"ask": {"call": "http", "with": {"method": "post", "endpoint": endpoint}}}
    caught = {"errors": {"with": {"status": 401}}, "do": [{"tell": {"set": "${ $error }"}}]}
    ended = await run(engine, {"do": [{"try": {"try": [ask], "catch": caught}}]})
    assert ended["status"] == "completed", ended
    error = ended["output"]
    assert error["type"].endswith("/authentication")
    assert error["instance"] == "/do/0/try/try/0/ask"
    assert "[secret client_secret]" in error["detail"]
    assert "wrong-secret" not in json.dumps(error)

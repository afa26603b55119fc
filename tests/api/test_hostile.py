"""Every operation under hostile requests: the answer is a 2xx or a problem, never a fault of ours."""

from typing import Any
from uuid import uuid4

import pytest

from tests.api.conftest import Account, World
from tests.api.test_isolation import METHODS

BODIES: list[Any] = [
    None, [], {}, "text", 7, True, 1e308, -(2**63), [[]], {"": ""},
    {"name": None}, {"name": [1]}, {"name": {"a": 1}}, {"name": "x" * 10_000},
    {"name": "\u202e\ufeff", "definition": {}, "input": []},
    {"name": "n", "definition": {"do": "x"}},
    {"name": "n", "definition": {"do": [{"a": {"call": 7}}]}},
    {"input": {"a": [{}] * 50}},
    {"outcome": "maybe"},
    {"name": "n", "scopes": ["tasks:read"] * 60},
    {"name": "n", "scopes": "tasks:read"},
    {"name": "n", "scopes": ["tasks:read"], "expires_at": "9999-12-31T23:59:59.999999999Z"},
    {"name": "n", "scopes": ["tasks:read"], "expires_at": 1e300},
    {"refresh_token": "\u0001"},
    {"timezone": "../etc"},
    {"email": "a@b.c", "password": "\u0001" * 9, "name": "n", "organization_name": "\u0001"},
]  # fmt: skip
QUERIES = [
    "limit=200&cursor=",
    "limit=1&limit=2",
    "status=x",
    "q=%25%27%22%5C",
    "mine=7",
    "a[]=1",
    "&&&=",
    "created_from=0",
]
HEADERS = [
    {"If-Match": '"9223372036854775807"'},
    {"If-Match": '"' + "9" * 18 + '"'},
    {"Idempotency-Key": "~" * 255},
    {"Prefer": "wait=999999999999"},
    {"Prefer": "wait=x, respond-async"},
    {"X-Organization-Id": "{}"},
    {"X-Organization-Id": "0" * 5000},
    {"Accept": "text/html;q=x"},
    {"User-Agent": "\x7f" * 3000},
]


@pytest.fixture
def addresses(world: World) -> list[tuple[str, str]]:
    return [
        (method.upper(), path.replace("{number}", "1").replace(_id(path), str(uuid4())))
        for path, methods in world.app.openapi()["paths"].items()
        for method in METHODS
        if method in methods
    ]


def _id(path: str) -> str:
    return "{" + path.partition("{")[2].partition("}")[0] + "}"


async def expect(account: Account, method: str, path: str, **options: Any) -> None:
    answer = await account.request(method, path, **options)
    what = (method, path, options, answer.status_code, answer.text[:300])
    assert answer.status_code < 500, what
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json", what
        assert answer.json()["code"], what


async def test_bodies(account: Account, addresses: list[tuple[str, str]]) -> None:
    for method, path in addresses:
        if method != "GET" and not path.startswith("/v1/auth/log"):
            for body in BODIES:
                await expect(account, method, path, json=body, headers={"If-Match": '"1"'})


async def test_queries(account: Account, addresses: list[tuple[str, str]]) -> None:
    for method, path in addresses:
        for query in QUERIES:
            await expect(account, method, f"{path}?{query}", headers={"If-Match": '"1"'})


async def test_headers(account: Account, addresses: list[tuple[str, str]]) -> None:
    for method, path in addresses:
        for headers in HEADERS:
            await expect(account, method, path, json={"name": "n"}, headers=headers)

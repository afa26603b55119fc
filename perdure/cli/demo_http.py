"""The demo's requests: an answer that is none ends it, with what was asked and what was said."""

from typing import Any

import httpx2


class DemoFailed(Exception):
    """The product did not do what the demo shows; the message says where."""


async def get(http: httpx2.AsyncClient, path: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    return check(await http.get(path, headers=headers))


async def post(
    http: httpx2.AsyncClient, path: str, body: dict[str, Any], headers: dict[str, str] | None = None
) -> dict[str, Any]:
    return check(await http.post(path, json=body, headers=headers))


def check(answer: httpx2.Response) -> dict[str, Any]:
    """The answer's body, empty where it has none. Raises DemoFailed."""
    if answer.is_error:
        asked = f"{answer.request.method} {answer.request.url.path}"
        raise DemoFailed(f"{asked}: {answer.status_code} {answer.text}")
    if not answer.content:
        return {}
    parsed: dict[str, Any] = answer.json()
    return parsed

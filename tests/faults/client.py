"""A careful integrator: repeats what was not answered, with the same key, and remembers every answer."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

#: How long a caller waits for one answer before it counts as unknown.
PATIENCE = 15.0
RETRY_SECONDS = 0.3


class Unanswered(Exception):
    """Nobody knows whether the request was carried out."""


@dataclass
class Caller:
    """Calls the API as one organization's key; `offences` are answers that the API may never give."""

    http: httpx2.AsyncClient
    bearer: str = ""
    answers: Counter[str] = field(default_factory=Counter)
    offences: list[str] = field(default_factory=list)

    async def once(
        self,
        method: str,
        path: str,
        body: Any = None,
        key: str | None = None,
        *,
        wait: int | None = None,
        sign: Callable[[bytes], dict[str, str]] | None = None,
    ) -> httpx2.Response:
        """One request, as the key's owner or signed. Raises Unanswered when the connection broke or nothing came."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if content else {}
        if sign is not None:
            headers |= sign(content or b"")
        elif self.bearer:
            headers["Authorization"] = f"Bearer {self.bearer}"
        if key is not None:
            headers["Idempotency-Key"] = key
        if wait is not None:
            headers["Prefer"] = f"wait={wait}"
        try:
            answer = await self.http.request(method, path, content=content, headers=headers)
        except httpx2.TransportError as error:
            self.answers[type(error).__name__] += 1
            raise Unanswered(f"{method} {path}: {error!r}") from error
        self.answers[str(answer.status_code)] += 1
        if answer.status_code >= 500 and not (
            answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE and answer.headers.get("retry-after")
        ):
            self.offences.append(f"{method} {path}: {answer.status_code} {answer.text[:400]}")
        return answer

    async def insist(
        self,
        method: str,
        path: str,
        body: Any = None,
        key: str | None = None,
        *,
        sign: Callable[[bytes], dict[str, str]] | None = None,
        seconds: float = 120.0,
    ) -> httpx2.Response:
        """Repeat until there is an answer other than 503; only safe with a key, an event id, or for a GET."""
        ends = time.monotonic() + seconds
        while True:
            try:
                answer = await self.once(method, path, body, key, sign=sign)
                if answer.status_code < 500:
                    return answer
                said = answer.text[:200]
            except Unanswered as unanswered:
                said = str(unanswered)
            if time.monotonic() > ends:
                raise AssertionError(f"{method} {path} was not answered in {seconds:g} s: {said}")
            await asyncio.sleep(RETRY_SECONDS)


def parsed(answer: httpx2.Response) -> Any:
    """The body of a 2xx answer."""
    assert answer.is_success, f"{answer.request.method} {answer.request.url.path}: {answer.text}"
    return answer.json()

"""Doing something once, however often it is asked: the `Idempotency-Key` header.

A route does its work inside one transaction and answers with the result:

    answer = await once.run(caller, work)      # work(tx) -> Answer(202, {...}, carry=entry)
    if not answer.replayed: ...after commit, with answer.carry...
    return answer.response()

Refused and failed requests leave nothing behind, so they may be repeated with the same key.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import orjson
from fastapi import Depends, Header, Request
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller
from api.bodies import parsed
from api.collaborators import Collaborators, Parts
from db.idempotency import IdempotencyKeys, KeptAnswer
from domain.errors import Forbidden, Invalid, Problem

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What a route answers. `carry` reaches the code after the commit and is never stored.

    `kept` replaces `body` for later replays, where the body holds a secret shown only once.
    """

    status: int
    body: Any
    carry: T | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    kept: Any = None
    replayed: bool = False

    def response(self) -> Response:
        headers = {**self.headers, "Idempotent-Replay": "true"} if self.replayed else dict(self.headers)
        content = b"" if self.status == 204 else orjson.dumps(self.body, default=plain)
        return Response(content, self.status, headers, media_type="application/json")


class Once:
    """The key of one request, or its absence; without a key the work is simply done."""

    def __init__(self, parts: Collaborators, request: Request, key: str | None) -> None:
        self._parts = parts
        self._request = request
        self._key = key

    @property
    def key(self) -> str | None:
        return self._key

    async def run(self, caller: Caller, work: Callable[[AsyncConnection], Awaitable[Answer[T]]]) -> Answer[T]:
        """Runs `work` in one transaction of the caller and keeps its answer, or replays the kept one."""
        async with self._parts.database.transaction(caller.access) as tx:
            if self._key is None:
                return await work(tx)
            if caller.organization_id is None:
                raise Forbidden
            keys = IdempotencyKeys(tx, caller.organization_id, self._scope(caller))
            kept = await keys.claim(self._key, self._hash(), self._parts.clock())
            if kept is not None:
                return Answer(kept.status, kept.body, replayed=True)
            answer = await work(tx)
            body = answer.body if answer.kept is None else answer.kept
            await keys.keep(
                self._key, KeptAnswer(answer.status, orjson.loads(orjson.dumps(body, default=plain)))
            )
            return answer

    def _scope(self, caller: Caller) -> str:
        return f"{caller.name} {self._request.method} {self._request.url.path}"

    def _hash(self) -> str:
        """Key order and white space do not make another request; every value and the query do.

        Keyed: from a plain hash a short confidential value could be guessed.
        """
        body = orjson.dumps(parsed(self._request.scope), option=orjson.OPT_SORT_KEYS)
        digest = hmac.new(self._parts.security.token_secret, body, hashlib.sha256)
        digest.update(b"?" + self._request.url.query.encode())
        return digest.hexdigest()


async def _once(
    request: Request,
    parts: Parts,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="1 to 255 visible ASCII characters. Repeating the request with the same key within "
            "24 hours does nothing twice and replays the first answer with `Idempotent-Replay: true`."
        ),
    ] = None,
) -> Once:
    if idempotency_key is not None and not _usable(idempotency_key):
        message = "An Idempotency-Key has 1 to 255 visible ASCII characters."
        raise Invalid(problems=[Problem("header/idempotency-key", message, "Send a fresh UUID.")])
    return Once(parts, request, idempotency_key)


def plain(value: Any) -> Any:
    """What orjson does not write by itself: models, mappings of rows, exact numbers."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Decimal | UUID):  # asyncpg reads UUIDs as a class of its own
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be answered as JSON")


def _usable(key: str) -> bool:
    return 1 <= len(key) <= 255 and all("!" <= character <= "~" for character in key)


Idempotent = Annotated[Once, Depends(_once)]

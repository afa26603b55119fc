"""Pages of a list in an order that the caller chooses: `?sort=name&limit=&cursor=`.

A cursor belongs to the list and the order it came from. `api.pagination` serves lists that know only newest first.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Depends, Query, Request

from api.collaborators import Parts
from db.clientsearch import Position, Sort
from domain.errors import Invalid, Problem

_TAG = 12


class SortedPager:
    """One request's page: in which order, behind which row, and how many."""

    def __init__(self, secret: bytes, route: str, limit: int, sort: Sort, cursor: str | None) -> None:
        self._secret = secret
        self._route = f"{route}?sort={sort.value}"
        self.sort = sort
        self.limit = limit
        self.after = None if cursor is None else self._read(cursor)

    @property
    def fetch(self) -> int:
        """One row more than is shown tells whether there is a next page."""
        return self.limit + 1

    def page(self, rows: Sequence[Any], show: Callable[[Any], Any]) -> dict[str, Any]:
        """The answer from up to `fetch` rows of `db.clientsearch.sorted_by`, each with its `sort_key`."""
        shown = rows[: self.limit]
        more = len(rows) > self.limit
        cursor = self._write((shown[-1]["sort_key"], shown[-1]["id"])) if more else None
        return {"items": [show(row) for row in shown], "next_cursor": cursor}

    def _write(self, position: Position) -> str:
        key, id = position
        body = orjson.dumps([key.isoformat() if isinstance(key, datetime) else key, str(id)])
        return base64.urlsafe_b64encode(self._tag(body) + body).decode()

    def _read(self, cursor: str) -> Position:
        try:
            raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError, ValueError):
            raise _malformed() from None
        tag, body = raw[:_TAG], raw[_TAG:]
        if not hmac.compare_digest(tag, self._tag(body)):
            raise _malformed()
        key, id = orjson.loads(body)  # nobody but us can have written it
        is_name = self.sort in (Sort.NAME, Sort.NAME_DOWN)
        return key if is_name else datetime.fromisoformat(key), UUID(id)

    def _tag(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, b"sorted:" + self._route.encode() + b"\0" + body, hashlib.sha256)[
            :_TAG
        ]


def _malformed() -> Invalid:
    message = "The cursor is not one that this list handed out in this order."
    mend = "Repeat the request without cursor, then follow next_cursor as it is, with the same sort."
    return Invalid(problems=[Problem("query/cursor", message, mend)])


async def _sorting(
    request: Request,
    parts: Parts,
    limit: Annotated[int, Query(ge=1, le=200, description="How many items at most.")] = 50,
    sort: Annotated[
        Sort, Query(description="`-` turns the order round: -created_at begins with the newest.")
    ] = Sort.NEWEST,
    cursor: Annotated[
        str | None, Query(max_length=4_000, description="`next_cursor` of the page before.")
    ] = None,
) -> SortedPager:
    return SortedPager(parts.security.token_secret, request.url.path, limit, sort, cursor)


Sorting = Annotated[SortedPager, Depends(_sorting)]

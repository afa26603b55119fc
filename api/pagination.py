"""Pages of a list, newest first: `?limit=1..200&cursor=`, answered as `{items, next_cursor}`.

A route takes `paging: Paging`, fetches `paging.fetch` rows after `paging.before`, answers `paging.page(...)`.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Query, Request

from api.collaborators import Parts
from domain.errors import Invalid, Problem

Row = TypeVar("Row")
#: The last row of the page before: when it was created, and its id.
Position = tuple[datetime, UUID]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TAG = 12


class Pager:
    """One request's page: how many rows to fetch, where to begin, and how to answer."""

    def __init__(self, secret: bytes, route: str, limit: int, cursor: str | None) -> None:
        self._secret = secret
        self._route = route
        self.limit = limit
        self.before = self._read(cursor) if cursor is not None else None

    @property
    def fetch(self) -> int:
        """One row more than is shown tells whether there is a next page."""
        return self.limit + 1

    def page(
        self, rows: Sequence[Row], position: Callable[[Row], Position], show: Callable[[Row], Any]
    ) -> dict[str, Any]:
        """The answer from up to `fetch` rows."""
        shown = rows[: self.limit]
        more = len(rows) > self.limit
        return {
            "items": [show(row) for row in shown],
            "next_cursor": self._write(position(shown[-1])) if more else None,
        }

    def _write(self, position: Position) -> str:
        moment, id = position
        body = ((moment - _EPOCH) // _MICROSECOND).to_bytes(8, "big", signed=True) + id.bytes
        return base64.urlsafe_b64encode(body + self._tag(body)).decode()

    def _read(self, cursor: str) -> Position:
        try:
            raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError, ValueError):
            raise _malformed() from None
        body, tag = raw[:24], raw[24:]
        if len(raw) != 24 + _TAG or not hmac.compare_digest(tag, self._tag(body)):
            raise _malformed()
        return _EPOCH + int.from_bytes(body[:8], "big", signed=True) * _MICROSECOND, UUID(bytes=body[8:])

    def _tag(self, body: bytes) -> bytes:
        # Bound to the list it came from; what it may show is still decided by row level security alone.
        return hmac.digest(self._secret, b"cursor:" + self._route.encode() + body, hashlib.sha256)[:_TAG]


def _malformed() -> Invalid:
    message = "The cursor is not one that this list handed out."
    mend = "Repeat the request without cursor, then follow next_cursor as it is."
    return Invalid(problems=[Problem("query/cursor", message, mend)])


async def _paging(
    request: Request,
    parts: Parts,
    limit: Annotated[int, Query(ge=1, le=200, description="How many items at most.")] = 50,
    cursor: Annotated[
        str | None, Query(max_length=200, description="`next_cursor` of the page before.")
    ] = None,
) -> Pager:
    return Pager(parts.security.token_secret, request.url.path, limit, cursor)


Paging = Annotated[Pager, Depends(_paging)]

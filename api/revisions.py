"""Revisions of rows that keep no counter: the moment of their last change, in microseconds, serves as one."""

from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import Response

from api.etags import etag
from api.idempotency import Answer

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_YEAR_9999 = 253_370_764_800_000_000


def revision_of(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(revision: int) -> datetime:
    """The other way round; a number that is no such moment becomes one that no row has."""
    return _EPOCH + min(revision, _YEAR_9999) * _MICROSECOND


def tagged(answer: Answer[Any], *, location: str | None = None) -> Response:
    """The answer with its ETag (`revision`, else `updated_at` of the body) and, when created, its Location.

    Both come from the body, so that a replayed answer carries them as the first one did.
    """
    response = answer.response()
    body = answer.body
    revision = body.get("revision") or revision_of(datetime.fromisoformat(body["updated_at"]))
    response.headers["ETag"] = etag(revision)
    if location is not None:
        response.headers["Location"] = location.format(**body)
    return response

"""Errors are facts about what a caller asked for; `api/errors.py` alone knows their HTTP status."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a document or payload: where it is, what it is, how to mend it.

    `severity` is "error" or "warning"; a warning tells, but does not hinder.
    """

    pointer: str
    message: str
    suggestion: str | None = None
    code: str = "invalid"
    severity: str = "error"

    def as_json(self) -> dict[str, str | None]:
        return asdict(self)


class DomainError(Exception):
    """The request cannot be carried out."""

    code: ClassVar[str] = "refused"

    def __init__(self, message: str | None = None, *, problems: Sequence[Problem] = ()) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.problems = tuple(problems)
        super().__init__(self.message)


class NotFound(DomainError):
    """There is nothing with this id in your organization."""

    code = "not_found"


class Unauthenticated(DomainError):
    """Sign in first: send a valid access token or API key in the Authorization header."""

    code = "unauthenticated"


class Forbidden(DomainError):
    """You are signed in, but not allowed to do this; ask an administrator of the organization."""

    code = "forbidden"


class Invalid(DomainError):
    """The request does not have the expected form; see `errors` for each place and its mend."""

    code = "invalid"


class Conflict(DomainError):
    """The current state does not allow this."""

    code = "conflict"


class IdempotencyKeyReused(Conflict):
    """This Idempotency-Key was already used with a different request; choose a new key."""

    code = "idempotency_key_reused"


class Stale(DomainError):
    """Somebody changed this since you read it; fetch it again and repeat your change on the new version."""

    code = "stale"


class PreconditionRequired(DomainError):
    """Send the ETag you last read in If-Match, so that nobody's change is overwritten."""

    code = "precondition_required"


class TooManyRequests(DomainError):
    """Too many attempts; wait and try again."""

    code = "too_many_requests"

    def __init__(self, message: str | None = None, *, retry_after: int = 60) -> None:
        super().__init__(message)
        self.retry_after = retry_after

"""What is told of an attempt that failed and is not the last one."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import DBAPIError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from activities.faults import is_passing
from domain.blobs import BlobsUnavailable
from domain.definitions.faults import Fault


def is_tried_again(error: Exception) -> bool:
    return not (isinstance(error, ApplicationError) and error.non_retryable)


def words_of(error: Exception, action: str) -> dict[str, Any]:
    """The error in the language's words; what an exception says in its own may quote values, and is logged instead."""
    if isinstance(error, ApplicationError) and error.details:
        told: dict[str, Any] = error.details[0]
        return told
    return _fault(error, action).as_json()


def _fault(error: Exception, action: str) -> Fault:
    match error:
        case BlobsUnavailable():
            return Fault("communication", 503, "Storage unavailable", "the platform's storage did not answer")
        case DBAPIError() if is_passing(error):
            return Fault(
                "communication", 503, "Database unavailable", "the platform's database did not answer"
            )
        case _ if is_passing(error):
            return Fault("communication", 503, "Connection lost", f"'{action}' lost its connection")
    return Fault(
        "runtime",
        500,
        "Action failed",
        f"'{action}' failed unexpectedly; the operators find the details in the log",
    )


def next_attempt(policy: RetryPolicy | None, number: int, ended: datetime) -> datetime | None:
    """When the attempt after this one begins, if a worker is free; None where the engine has not told its policy."""
    if policy is None:
        return None
    longest = (policy.maximum_interval or policy.initial_interval * 100).total_seconds()
    try:
        wait = policy.initial_interval.total_seconds() * policy.backoff_coefficient ** (number - 1)
    except OverflowError:
        wait = longest
    return ended + timedelta(seconds=min(wait, longest))

"""What went wrong in an action: something its definition may know about, something passing, or a defect of ours."""

import logging

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain.blobs import BlobsUnavailable
from domain.definitions.faults import Fault
from domain.errors import DomainError

log = logging.getLogger(__name__)

#: SQLSTATE classes of a database that is restarting, overloaded or resolving a conflict: the same will work later.
_PASSING = ("08", "40", "53", "55", "57", "58")

#: SQLSTATE classes of a value that is none for its column, or breaks a constraint.
_REFUSING = ("22", "23")


def is_passing(error: BaseException) -> bool:
    """Database or storage cannot answer right now; the whole activity is repeated, nothing of it has happened."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        if state is not None:
            return str(state).startswith(_PASSING)
        return error.connection_invalidated or isinstance(error, InterfaceError | OperationalError)
    return isinstance(error, ConnectionError | TimeoutError | BlobsUnavailable)


def as_fault(error: Exception, action: str) -> Fault:
    """Any other failure of an action, in the language's words.

    Tenants read it: what an exception or the database says in its own words, values included, is logged instead.
    """
    match error:
        case Fault():
            return error
        case DomainError():
            return Fault("runtime", 409, "Refused", error.message)
    where = activity.info().workflow_id
    if isinstance(error, DBAPIError) and str(getattr(error.orig, "sqlstate", "")).startswith(_REFUSING):
        log.warning("The database refused a value of action %s in %s", action, where, exc_info=error)
        column = getattr(getattr(error.orig, "__cause__", None), "column_name", None)
        refused = f"the value for '{column}'" if column else "a value"
        return Fault(
            "validation",
            400,
            "Refused by the database",
            f"the database refused {refused} that '{action}' was given; correct its arguments",
        )
    log.error("Action %s failed unexpectedly in %s", action, where, exc_info=error)
    return Fault(
        "runtime",
        500,
        "Action failed",
        f"'{action}' failed unexpectedly; the operators find the details in the log",
    )


def as_failure(fault: Fault) -> ApplicationError:
    """How a fault travels to the workflow: final, because the definition alone decides what follows."""
    return ApplicationError(str(fault), fault.as_json(), type=fault.type, non_retryable=True)

"""One value of the earlier layout becomes one of ours, by the type of the column it goes into."""

import json
import re
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from sqlalchemy import CheckConstraint, Column, Table
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import BigInteger, Boolean, Date, DateTime, Enum, Integer, Numeric, Text

from db.engine import from_json


class Unfit(Exception):
    """The value cannot stand in the column: why, and what to do about it in the source."""

    def __init__(self, reason: str, mend: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.mend = mend


#: Spellings found in the wild for members of our closed sets.
SYNONYMS: Final = {
    "canceled": "cancelled",
    "cancel": "cancelled",
    "trialing": "trial",
    "trialling": "trial",
    "past_due": "suspended",
    "unpaid": "suspended",
    "success": "completed",
    "succeeded": "completed",
    "complete": "completed",
    "done": "completed",
    "error": "failed",
    "errored": "failed",
    "timeout": "timed_out",
    "invited": "pending",
    "disabled": "suspended",
    "annual": "yearly",
    "month": "monthly",
    "year": "yearly",
    "company": "business",
    "non-profit": "nonprofit",
    "person": "individual",
    "organisation": "organization",
    "azure": "azure-openai",
    "human": "user",
    "ai": "assistant",
    "bot": "assistant",
}
_SET = re.compile(r"\A\s*(\w+) IN \((?P<values>'[^)]*')\)\s*\Z")
_PASSING_AGES = re.compile(r"\A-?infinity\Z|BC\Z|\A\d{5,}-")


def closed_sets(table: Table) -> dict[str, tuple[str, ...]]:
    """Column → the only texts it may hold, as the checks and enums of the table say."""
    found: dict[str, tuple[str, ...]] = {}
    for constraint in table.constraints:
        if isinstance(constraint, CheckConstraint) and (match := _SET.match(str(constraint.sqltext))):
            values = tuple(each.strip().strip("'") for each in match["values"].split(","))
            found[match[1]] = values
    for column in table.columns:
        if isinstance(column.type, Enum):
            found[column.name] = tuple(column.type.enums)
    return found


def converted(column: Column[Any], value: Any, zone: tzinfo, allowed: tuple[str, ...] | None) -> Any:
    """The value as the column takes it; None stays None. Raises Unfit."""
    if value is None:
        return None
    if allowed is not None:
        return member(str(value), allowed)
    match column.type:
        case DateTime():
            return moment(str(value), zone)
        case Date():
            return day(str(value))
        case JSONB():
            return parsed(value, column)
        case ARRAY():
            return [str(each) for each in value if each is not None]
        case Boolean():
            return value if isinstance(value, bool) else _flag(str(value))
        case Integer():
            return whole(value, 63 if isinstance(column.type, BigInteger) else 31)
        case Numeric():
            return number(str(value))
        case Text():
            return str(value)
    raise TypeError(f"no conversion into {column.table.name}.{column.name} of type {column.type!r}")


def member(value: str, allowed: tuple[str, ...]) -> str:
    """The member of a closed set that a text means, however it is written."""
    plain = value.strip().lower()
    for candidate in (plain, plain.replace(" ", "_"), plain.replace("_", "-"), SYNONYMS.get(plain, plain)):
        if candidate in allowed:
            return candidate
    raise Unfit(
        f"the value is none of {', '.join(allowed)}", "Set it to the one that is meant, and import again."
    )


def moment(text: str, zone: tzinfo) -> datetime:
    """A point in time; one without an offset was meant in `zone`."""
    if _PASSING_AGES.search(text):
        raise Unfit("the time lies outside the years 1 to 9999", "Set a time that can have been meant.")
    try:
        read = datetime.fromisoformat(text)
        return (read if read.tzinfo is not None else read.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unfit("this is not a time between the years 1 and 9999", "Set a time, or NULL.") from None


def day(text: str) -> date:
    """A calendar day: of a birth stored as a timestamp the day is what was meant, in whichever zone."""
    if _PASSING_AGES.search(text):
        raise Unfit("the day lies outside the years 1 to 9999", "Set a day that can have been meant.")
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        raise Unfit("this is not a day between the years 1 and 9999", "Set a day, or NULL.") from None


def parsed(value: Any, column: Column[Any]) -> Any:
    """A JSON value; columns of ours whose default is an object or a list hold nothing else."""
    try:
        read = from_json(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        raise Unfit("this is not JSON", "Store a JSON value.") from None
    default = str(getattr(column.server_default, "arg", ""))
    for shape, sign, told in ((dict, "{}", "an object"), (list, "[]", "a list")):
        if sign in default and not isinstance(read, shape):
            raise Unfit(f"the JSON value is not {told}", f"Store {told}, or NULL for an empty one.")
    return read


def whole(value: Any, bits: int) -> int:
    try:
        read = int(Decimal(str(value)))
    except (InvalidOperation, ValueError, OverflowError):
        raise Unfit("this is not a whole number", "Store a whole number.") from None
    if not -(2**bits) <= read < 2**bits:
        raise Unfit(f"the number does not fit into {bits + 1} bits", "Store a smaller number.")
    return read


def number(text: str) -> Decimal:
    try:
        read = Decimal(text)
    except InvalidOperation:
        raise Unfit("this is not a number", "Store a number, or NULL.") from None
    if not read.is_finite():
        raise Unfit("this is not a number: NaN or infinity", "Store a number, or NULL.")
    return read


def _flag(text: str) -> bool:
    if text.strip().lower() in ("t", "true", "yes", "y", "1"):
        return True
    if text.strip().lower() in ("f", "false", "no", "n", "0"):
        return False
    raise Unfit("this is neither true nor false", "Store true or false.")


def as_json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

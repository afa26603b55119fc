"""Single texts as values and back: numbers, dates, moments, JSON."""

import json
import re
from datetime import date, datetime, tzinfo
from math import isfinite

from domain.definitions.values import Json, ValueRefused, check_value

from .fields import Kind

_INTEGER = re.compile(r"[+-]?\d{1,19}")
_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,3})?")
_SPACES = re.compile(r"[\s\u00a0\u202f']")


class NotSo(Exception):
    """A text that is no value of its kind; says what is expected."""


def is_blank(text: str) -> bool:
    """Spaces alone are nobody's answer."""
    return not text.strip()


def parse(kind: Kind, text: str, zone: tzinfo) -> Json:
    """The value of a text that is not blank; raises NotSo."""
    if kind is Kind.LINES:
        return text.replace("\r\n", "\n").replace("\r", "\n")
    if kind is Kind.TEXT:
        return text
    bare = text.strip()
    if kind is Kind.INTEGER:
        return _integer(bare)
    if kind is Kind.NUMBER:
        return _number(bare)
    if kind is Kind.DATE:
        return _date(bare)
    if kind is Kind.MOMENT:
        return _moment(bare, zone)
    if kind is Kind.JSON:
        return _json(text)
    return bare


def text_of(kind: Kind, value: Json, zone: tzinfo) -> str:
    """What a control shows for a value; a value of another kind is shown as JSON, so that nothing hides."""
    if kind is Kind.JSON:
        return json.dumps(value, indent=2, ensure_ascii=False)
    if isinstance(value, str):
        return _local(value, zone) if kind is Kind.MOMENT else value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _integer(text: str) -> int:
    digits = _SPACES.sub("", text)
    if not _INTEGER.fullmatch(digits) or not -(2**63) <= int(digits) < 2**63:
        raise NotSo("Give a whole number, such as 12.")
    return int(digits)


def _number(text: str) -> int | float:
    digits = _SPACES.sub("", text)
    if not _NUMBER.fullmatch(digits):
        raise NotSo("Give a number, with a point before decimals, such as 12.50.")
    number = int(digits) if _INTEGER.fullmatch(digits) else float(digits)
    if not isfinite(number):
        raise NotSo("This number is too large.")
    return number


def _date(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise NotSo("Give a date as year-month-day, such as 2026-11-22.") from None


def _moment(text: str, zone: tzinfo) -> str:
    """A moment without an offset is one in the organization's time zone."""
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).isoformat()
    except (ValueError, OverflowError):
        raise NotSo("Give a date and a time, such as 2026-11-22T14:30.") from None


def _local(text: str, zone: tzinfo) -> str:
    try:
        at = datetime.fromisoformat(text)
        at = at.astimezone(zone) if at.tzinfo is not None else at
    except (ValueError, OverflowError):
        return text
    precision = "minutes" if (at.second, at.microsecond) == (0, 0) else "auto"
    return at.replace(tzinfo=None).isoformat(timespec=precision)


def _json(text: str) -> Json:
    try:
        return check_value(json.loads(text, parse_constant=_no_constant))
    except ValueRefused as refusal:
        raise NotSo(f"This cannot be used: {refusal.message}.") from None
    except json.JSONDecodeError as error:
        raise NotSo(f"This is no JSON: {error.msg}, in line {error.lineno}, column {error.colno}.") from None
    except (ValueError, RecursionError):
        raise NotSo(
            "This is no JSON that can be used: a number in it is too long, or it nests too deeply."
        ) from None


def _no_constant(name: str) -> None:
    raise ValueRefused(f"{name} is no JSON number")

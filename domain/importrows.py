"""One row of an import: its cells as values of the fields, or what is wrong with which of them, and the mend."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from domain.clientfields import (
    Country,
    EmailAddress,
    ShortLine,
    Tags,
    Telephone,
    Text,
    WebAddress,
    WrittenCreditLimit,
    telephone,
)
from domain.clients import ClientStatus, ClientType, CommunicationPreferences
from domain.csvfiles import genuine, shown
from domain.imports import TransferKind

#: A row with more mistakes than this is no row of that table.
MAXIMUM_PROBLEMS: Final = 10
_CONFIDENTIAL: Final = frozenset({"tax_id"})
_TRUE: Final = frozenset({"true", "yes", "y", "1", "x", "ja", "oui", "si", "sí", "wahr", "on"})
_FALSE: Final = frozenset({"false", "no", "n", "0", "nein", "non", "falsch", "off", "-"})
_TYPES: Final = {
    "company": "business",
    "organization": "business",
    "organisation": "business",
    "corporation": "business",
    "firma": "business",
    "unternehmen": "business",
    "person": "individual",
    "private": "individual",
    "privat": "individual",
    "privatperson": "individual",
    "non-profit": "nonprofit",
    "charity": "nonprofit",
    "verein": "nonprofit",
    "ngo": "nonprofit",
}
_STATES: Final = {
    "lead": "prospect",
    "opportunity": "prospect",
    "interessent": "prospect",
    "customer": "active",
    "client": "active",
    "aktiv": "active",
    "archived": "inactive",
    "former": "inactive",
    "inaktiv": "inactive",
}


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One cell that was refused; `column` counts from 1, None stands for the row as a whole."""

    line: int
    column: int | None
    field: str | None
    value: str | None
    message: str
    mend: str
    code: str = "invalid"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def _also(words: Mapping[str, str]) -> Callable[[Any], Any]:
    return lambda value: words.get(str(value).casefold(), str(value).casefold())


def _listed(value: Any) -> Any:
    return (
        [part.strip() for part in re.split(r"[;,|]", value) if part.strip()]
        if isinstance(value, str)
        else value
    )


def _truth(value: Any) -> Any:
    word = str(value).casefold()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise PydanticCustomError("truth", "The value should be yes or no.")


def _object(value: Any) -> Any:
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise PydanticCustomError(
            "json_object", 'The value should be a JSON object such as {"email": false}.'
        )
    if not _is_storable(found):
        raise PydanticCustomError(
            "json_object",
            "The JSON object holds what cannot be stored: a NUL character, half a character, "
            "a number beyond 64 bits, or more than 64 levels.",
        )
    return found


def _is_storable(value: Any, levels: int = 64) -> bool:
    """Whether it reaches the database as it is: one cell that does not would take all rows of its part with it."""
    match value:
        case str():
            return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
        case bool() | None:
            return True
        case int():
            return -(2**63) <= value < 2**63
        case float():
            return math.isfinite(value)
        case dict():
            return levels > 0 and all(
                _is_storable(each, levels - 1) for pair in value.items() for each in pair
            )
    return levels > 0 and all(_is_storable(each, levels - 1) for each in value)


_Type = Annotated[ClientType, BeforeValidator(_also(_TYPES))]
_Status = Annotated[ClientStatus, BeforeValidator(_also(_STATES))]
_Listed = Annotated[Tags, BeforeValidator(_listed)]
_Truth = Annotated[bool, BeforeValidator(_truth)]
_Object = Annotated[dict[str, Any], BeforeValidator(_object)]
_Preferences = Annotated[CommunicationPreferences, BeforeValidator(_object)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ClientRow(_Row):
    #: A client that is there already has one.
    name: ShortLine | None = None
    company_name: ShortLine | None = None
    client_type: _Type | None = None
    industry: ShortLine | None = None
    client_number: ShortLine | None = None
    email: EmailAddress | None = None
    phone: Telephone | None = None
    website: WebAddress | None = None
    address: Text | None = None
    city: ShortLine | None = None
    state: ShortLine | None = None
    zip_code: ShortLine | None = None
    country: Country | None = None
    tax_id: ShortLine | None = None
    registration_number: ShortLine | None = None
    fiscal_year_end: ShortLine | None = None
    status: _Status | None = None
    acquisition_source: ShortLine | None = None
    referral_source: ShortLine | None = None
    #: The e-mail address or the id of a member.
    assigned_manager: ShortLine | None = None
    payment_terms: ShortLine | None = None
    credit_limit: WrittenCreditLimit | None = None
    tags: _Listed | None = None
    communication_preferences: _Preferences | None = None
    service_preferences: _Object | None = None
    billing_address: _Object | None = None


class ContactRow(_Row):
    first_name: ShortLine
    last_name: ShortLine
    client_number: ShortLine | None = None
    client_email: EmailAddress | None = None
    job_title: ShortLine | None = None
    department: ShortLine | None = None
    email: EmailAddress | None = None
    phone: Telephone | None = None
    mobile: Telephone | None = None
    is_primary: _Truth | None = None
    can_authorize: _Truth | None = None
    receives_communications: _Truth | None = None
    notes: Text | None = None
    tags: _Listed | None = None


_MODELS: Final[Mapping[TransferKind, type[_Row]]] = {
    TransferKind.CLIENTS: ClientRow,
    TransferKind.CONTACTS: ContactRow,
}
_MENDS: Final = {
    "missing": "Fill the cell.",
    "string_too_long": "Shorten it.",
    "string_too_short": "Fill the cell.",
    "enum": "Use one of the values it names.",
    "truth": "Write yes or no.",
    "field": "Correct the cell.",
    "decimal_max_digits": "Write an amount below 10 000 000 000.",
    "decimal_whole_digits": "Write an amount below 10 000 000 000.",
    "decimal_max_places": "Write at most two digits behind the point.",
    "greater_than_equal": "Write an amount that is not negative.",
    "too_long": "Use at most 50 tags.",
}


def read_row(
    kind: TransferKind, line: int, cells: Sequence[str], columns: Mapping[str, int], width: int
) -> tuple[dict[str, Any], list[RowProblem]]:
    """The values of the cells that hold something, as JSON; or what is wrong with them.

    A row that is shorter than the header ends with empty cells, as spreadsheets write it.
    """
    if len(cells) > width and any(cell.strip() for cell in cells[width:]):
        return {}, [
            RowProblem(
                line,
                width + 1,
                None,
                shown(cells[width]),
                f"The row has {len(cells)} cells, the header {width}.",
                "Put a cell that holds the delimiter in quotation marks.",
                "too_many_cells",
            )
        ]
    given = {
        field: genuine(cells[index].strip())
        for field, index in columns.items()
        if index < len(cells) and cells[index].strip()
    }
    if kind is TransferKind.CLIENTS and "name" not in given and "company_name" in given:
        given["name"] = given["company_name"]
    try:
        row = _MODELS[kind].model_validate(given)
    except ValidationError as error:
        return {}, [_problem(line, dict(item), given, columns) for item in error.errors()[:MAXIMUM_PROBLEMS]]
    values = row.model_dump(mode="json", exclude_unset=True)
    country = values.get("country")
    for field in ("phone", "mobile"):
        if country is not None and values.get(field):
            values[field] = telephone(values[field], country)
    return values, []


def _problem(
    line: int, item: Mapping[str, Any], given: Mapping[str, str], columns: Mapping[str, int]
) -> RowProblem:
    field = str(item["loc"][0]) if item["loc"] else None
    kind = str(item["type"])
    index = columns.get(field) if field is not None else None
    text = "The cell is empty." if kind == "missing" else str(item["msg"])
    text = text.removeprefix("Value error, ")
    if text.startswith("Input should be "):
        text = f"The value should be {text.removeprefix('Input should be ')}"
    return RowProblem(
        line=line,
        column=None if index is None else index + 1,
        field=field,
        value=quoted(field, given.get(field or "")),
        message=text if text.endswith(".") else f"{text}.",
        mend=_MENDS.get(kind, "Correct the cell."),
        code="missing" if kind == "missing" else "invalid",
    )


def quoted(field: str | None, value: str | None) -> str | None:
    """A cell as a report shows it: a confidential one is not repeated."""
    if value is None:
        return None
    return "•••" if field in _CONFIDENTIAL else shown(value)

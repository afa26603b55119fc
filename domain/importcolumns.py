"""Which column of a file is which field: by its own name, by what others call it, or as the caller says."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from domain.csvfiles import shown
from domain.errors import Problem
from domain.imports import MAXIMUM_COLUMNS, TransferKind

#: Field → what files call it; compared without case, accents and punctuation.
_CLIENTS: Final = {
    "name": ("client", "client name", "customer", "customer name", "full name", "display name", "account name",
             "kunde", "kundenname", "nom", "nombre", "naam"),
    "company_name": ("company", "organisation", "organization", "business name", "legal name", "firma",
                     "unternehmen", "société", "empresa", "account"),
    "client_type": ("type", "customer type", "category", "kundentyp", "art"),
    "industry": ("sector", "branche", "branch", "line of business"),
    "client_number": ("number", "client no", "client id", "customer number", "customer no", "customer id",
                      "account number", "reference", "ref", "external id", "kundennummer", "kunden nr", "nummer"),
    "email": ("e-mail", "email address", "e-mail address", "mail", "primary email", "work email", "correo"),
    "phone": ("telephone", "phone number", "tel", "telephone number", "primary phone", "work phone", "telefon",
              "teléfono", "téléphone"),
    "website": ("web", "url", "web site", "homepage", "webseite"),
    "address": ("street", "street address", "address line 1", "address 1", "billing street", "strasse", "straße",
                "adresse", "anschrift", "dirección"),
    "city": ("town", "billing city", "ort", "stadt", "ville", "ciudad"),
    "state": ("province", "region", "county", "state province", "billing state", "bundesland"),
    "zip_code": ("zip", "postal code", "postcode", "zip postal code", "billing zip", "plz", "postleitzahl",
                 "code postal", "código postal"),
    "country": ("country code", "billing country", "land", "pays", "país"),
    "tax_id": ("tax number", "vat", "vat id", "vat number", "ein", "ssn", "tin", "tax identification number",
               "ust id", "ustid", "steuernummer"),
    "registration_number": ("company number", "registration no", "commercial register", "handelsregister",
                            "handelsregisternummer"),
    "fiscal_year_end": ("year end", "financial year end", "fye"),
    "status": ("client status", "customer status", "state of client"),
    "acquisition_source": ("source", "lead source", "original source", "quelle"),
    "referral_source": ("referral", "referred by", "empfohlen von"),
    "assigned_manager": ("manager", "owner", "account manager", "client owner", "contact owner", "responsible",
                         "betreuer", "ansprechpartner intern"),
    "payment_terms": ("terms", "zahlungsziel", "payment term"),
    "credit_limit": ("credit", "kreditlimit", "limit"),
    "tags": ("labels", "groups", "keywords", "schlagworte"),
    "communication_preferences": (),
    "service_preferences": (),
    "billing_address": (),
}  # fmt: skip
_CONTACTS: Final = {
    "first_name": ("given name", "forename", "first", "vorname", "prénom", "nombre"),
    "last_name": ("surname", "family name", "last", "nachname", "familienname", "nom", "apellido"),
    "client_number": ("client no", "client id", "customer number", "customer no", "customer id", "account number",
                      "kundennummer", "kunden nr"),
    "client_email": ("client e-mail", "customer email", "company email", "account email"),
    "job_title": ("title", "position", "role", "funktion", "job"),
    "department": ("abteilung", "division"),
    "email": ("e-mail", "email address", "e-mail address", "mail", "work email", "primary email"),
    "phone": ("telephone", "phone number", "tel", "work phone", "business phone", "telefon"),
    "mobile": ("mobile phone", "cell", "cell phone", "cellphone", "mobile number", "handy", "mobil", "móvil"),
    "is_primary": ("primary", "primary contact", "main contact", "hauptkontakt"),
    "can_authorize": ("authorized", "may authorize", "authorised signatory", "authorized signatory",
                      "zeichnungsberechtigt"),
    "receives_communications": ("receives communication", "email opt in", "opt in", "subscribed", "newsletter"),
    "notes": ("note", "comment", "comments", "remarks", "bemerkung", "notiz", "description"),
    "tags": ("labels", "groups", "keywords", "schlagworte"),
}  # fmt: skip
_FIELDS: Final[Mapping[TransferKind, Mapping[str, Sequence[str]]]] = {
    TransferKind.CLIENTS: _CLIENTS,
    TransferKind.CONTACTS: _CONTACTS,
}
#: Columns of our own exports that are not written back.
_PASSED_OVER: Final = frozenset({"id", "created at", "updated at", "created by"})
_REQUIRED: Final = {TransferKind.CLIENTS: ("name",), TransferKind.CONTACTS: ("first_name", "last_name")}


def fields_of(kind: TransferKind) -> list[str]:
    """Every field that can be imported, in the order in which exports have them."""
    return list(_FIELDS[kind])


@dataclass(frozen=True, slots=True)
class Columns:
    """Which cell of a row is which field; `passed_over` are headers whose cells are not read."""

    fields: dict[str, int]
    passed_over: list[str]


def columns_of(
    kind: TransferKind,
    headers: Sequence[str],
    *,
    line: int = 1,
    mapping: Mapping[str, str | None] | None = None,
    ignore_unknown: bool = False,
    required: Sequence[str] | None = None,
) -> tuple[Columns, list[Problem]]:
    """Read the header row; `mapping` says header → field (None: pass it over) where names do not tell.

    `required` are the fields without which nothing can be imported; those of a new row if absent.

    Problems point at `#/line/<n>/column/<n>`, or at `query/mapping`.
    """
    known = _known(kind)
    said = {_plain(header): field for header, field in (mapping or {}).items()}
    problems = _wrong_mapping(kind, headers, mapping or {})
    fields: dict[str, int] = {}
    passed_over: list[str] = []
    for index, header in enumerate(headers):
        plain = _plain(header)
        if plain in said:
            field = said[plain]
        elif not plain or plain in _PASSED_OVER:
            field = None
        else:
            field = known.get(plain, "")
        place = f"#/line/{line}/column/{index + 1}"
        if field is None or (field == "" and ignore_unknown):
            passed_over.append(shown(header))
        elif field == "":
            problems.append(_unknown(header, place, known))
        elif field in fields:
            other = shown(headers[fields[field]])
            problems.append(
                Problem(
                    place,
                    f"“{shown(header)}” and “{other}” are both read as {field}.",
                    "Remove one of the columns, or say in `mapping` which is which.",
                    "duplicate_column",
                )
            )
        elif field in _FIELDS[kind]:
            fields[field] = index
    if len(headers) > MAXIMUM_COLUMNS:
        problems = [
            Problem(
                f"#/line/{line}",
                f"The header has {len(headers)} columns; {MAXIMUM_COLUMNS} are the most.",
                "Remove columns that are not imported, or send the right delimiter.",
            )
        ]
    elif not problems:
        problems = _missing(_REQUIRED[kind] if required is None else required, fields, headers, line)
    return Columns(fields, passed_over), problems


def _missing(
    required: Sequence[str], fields: Mapping[str, int], headers: Sequence[str], line: int
) -> list[Problem]:
    missing = [field for field in required if field not in fields]
    if missing == ["name"] and "company_name" in fields:  # a company is called by its name
        missing = []
    found = ", ".join(f"“{shown(header, 40)}”" for header in headers[:10])
    return [
        Problem(
            f"#/line/{line}",
            f"No column is read as {field}; the header is {found}.",
            f"Call a column {field}, or say in `mapping` which column it is. If the header is one single column, "
            "the delimiter may be another one: send `delimiter`.",
            "missing_column",
        )
        for field in missing
    ]


def _wrong_mapping(
    kind: TransferKind, headers: Sequence[str], mapping: Mapping[str, str | None]
) -> list[Problem]:
    there = {_plain(header) for header in headers}
    problems = []
    for header, field in mapping.items():
        if _plain(header) not in there:
            message, mend = (
                f"The file has no column “{shown(header)}”.",
                "Use its header as the file has it.",
            )
            problems.append(Problem("query/mapping", message, mend))
        if field is not None and field not in _FIELDS[kind]:
            near = get_close_matches(field[:80], list(_FIELDS[kind]), 1)
            mend = f"Did you mean {near[0]}?" if near else f"Choose one of {', '.join(_FIELDS[kind])}."
            problems.append(Problem("query/mapping", f"There is no field “{shown(field)}”.", mend))
    return problems


def _unknown(header: str, place: str, known: Mapping[str, str]) -> Problem:
    near = get_close_matches(_plain(header)[:80], list(known), 1)
    guess = f"Did you mean {known[near[0]]}? " if near else ""
    return Problem(
        place,
        f"The column “{shown(header)}” is none we know.",
        f"{guess}Rename it, say in `mapping` what it is (null passes it over), or send `unknown_columns=ignore`.",
        "unknown_column",
    )


def _known(kind: TransferKind) -> dict[str, str]:
    own = {_plain(field): field for field in _FIELDS[kind]}
    others = {_plain(name): field for field, names in _FIELDS[kind].items() for name in names}
    return {**others, **own}


def _plain(header: str) -> str:
    letters = unicodedata.normalize("NFKD", header.casefold().replace("ß", "ss"))
    kept = "".join(c for c in letters if not unicodedata.combining(c))
    return " ".join(re.sub(r"[\W_]+", " ", kept).split())

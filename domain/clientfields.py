"""The types that fields of clients and contacts are made of: what people write, read kindly and kept in one form.

One set for the API, for actions and for imports, so that all refuse the same and say the same.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Final

import phonenumbers
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from domain.countries import country_code

_DIGITS: Final = re.compile(r"\d")
_TELEPHONE: Final = re.compile(
    r"[+(]?[\d\s()./\-\u2013]{3,40}(?:\s*(?:ext\.?|x|#|;ext=)\s*\d{1,8})?", re.IGNORECASE
)
_HOST: Final = re.compile(r"(?=.{4,253}\Z)(?:[^\s./@:?#]{1,63}\.)+[^\s./@:?#\d][^\s./@:?#]{0,62}")
_WEB: Final = re.compile(r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?P<host>[^\s/?#]+)(?P<rest>[/?#]\S*)?")
_AMOUNT: Final = re.compile(
    r"(?P<whole>[+-]?(?:\d{1,20}|\d{1,3}(?:,\d{3}){1,6}|\d{1,3}(?:\.\d{3}){1,6}))(?:[.,](?P<fraction>\d{1,2}))?"
)
_PLAIN_EMAIL: Final = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+\.[^\s@<>,;]+")


def telephone(text: str, country: str | None = None) -> str:
    """The number in its international form where that can be told, else as it was written.

    `country` is where a number without + is at home. Raises ValueError with the mend.
    """
    given = " ".join(text.split()).removeprefix("tel:")
    digits = len(_DIGITS.findall(given))
    if not _TELEPHONE.fullmatch(given) or not 3 <= digits <= 23:
        raise ValueError("is no telephone number; write it like +49 30 901820")
    if not given.startswith("+") and country is None:
        return given
    try:
        number = phonenumbers.parse(given, country)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        if given.startswith("+"):
            raise ValueError(
                "has too few or too many digits for its country code; write it like +49 30 901820"
            )
        return given
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL))


def web_address(text: str) -> str:
    """An http or https address; without a scheme, https is meant. Raises ValueError with the mend."""
    match = _WEB.fullmatch(text.strip())
    if match is None or not _HOST.fullmatch(match["host"].partition(":")[0]):
        raise ValueError("is no web address; write it like https://example.com")
    scheme = (match["scheme"] or "https").lower()
    if scheme not in ("http", "https"):
        raise ValueError("begins with neither http:// nor https://; write it like https://example.com")
    return f"{scheme}://{match['host'].lower()}{match['rest'] or ''}"


def email_address(text: str) -> str:
    """A plain address; `mailto:` before it is forgiven. Raises ValueError with the mend."""
    address = text.strip().removeprefix("mailto:")
    if len(address) > 254 or not _PLAIN_EMAIL.fullmatch(address):
        raise ValueError("is no e-mail address; write it like name@example.com")
    return address


def amount(value: Any) -> Any:
    """Money as people and spreadsheets write it: 1500, 1500.00, 1,500.00, 1.500,00. Raises ValueError.

    A text such as 1,500 is refused: nobody can tell whether it is one and a half.
    """
    if not isinstance(value, str):
        return value
    text = re.sub(r"[\s'\u2019_]", "", value).strip("$€£¥")
    match = _AMOUNT.fullmatch(text)
    if match is None or re.fullmatch(r"[+-]?\d{1,3}[.,]\d{3}", text):
        raise ValueError("is no plain amount; write it like 1500.00")
    whole = re.sub(r"[.,]", "", match["whole"])
    return Decimal(f"{whole}.{match['fraction']}" if match["fraction"] else whole)


def told(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A check that raises ValueError("is …; mend") as a validator that tells it as it is."""

    def checked(value: Any) -> Any:
        try:
            return check(value)
        except ValueError as problem:
            raise PydanticCustomError("field", "{reason}", {"reason": f"The value {problem}."}) from None

    return checked


def _once(tags: list[str]) -> list[str]:
    return list(dict.fromkeys(tags))


ShortLine = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Text = Annotated[str, StringConstraints(max_length=4_000)]
EmailAddress = Annotated[str, StringConstraints(max_length=320), AfterValidator(told(email_address))]
Country = Annotated[ShortLine, AfterValidator(told(country_code))]
#: Brought into one form by whoever knows the country.
Telephone = Annotated[ShortLine, AfterValidator(told(telephone))]
WebAddress = Annotated[ShortLine, AfterValidator(told(web_address))]
Tags = Annotated[
    list[Annotated[ShortLine, StringConstraints(max_length=100)]],
    Field(max_length=50),
    AfterValidator(_once),
]
CreditLimit = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=2)]
#: The same, from a spreadsheet.
WrittenCreditLimit = Annotated[CreditLimit, BeforeValidator(told(amount))]

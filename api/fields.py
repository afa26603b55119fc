"""Field types the bodies of every slice are made of; `api/bodies.py` has refused unstorable text before."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, StringConstraints
from pydantic_core import PydanticCustomError

from domain.definitions.values import MAX_BYTES, ValueRefused, check_value

#: engine.md §8: a definition is at most 256 KB; what belongs to it is bounded the same way.
DEFINITION_BYTES = 262_144


class Body(BaseModel):
    """A request body: a member nobody knows is an error, so a typing mistake is never silently dropped."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


def bounded_json(max_bytes: int) -> Callable[[Any], Any]:
    """A validator that copies a JSON value, or says where it is too large or too deep."""

    def check(value: Any) -> Any:
        try:
            return check_value(value, max_bytes=max_bytes)
        except ValueRefused as refusal:
            raise PydanticCustomError("json", "{reason}", {"reason": str(refusal)}) from None

    return check


def _in_utc(moment: datetime) -> datetime:
    """An offset may carry the first and last hours of the calendar into years that do not exist."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError(
            "moment", "The time lies outside the years 1 to 9999 once it is converted to UTC."
        ) from None


def _written_out(value: Any) -> Any:
    """A number is no time: pydantic would take 0.5, and the text of it, for seconds since 1970."""
    if isinstance(value, str) and "-" in value[1:] and ":" in value:
        return value
    raise PydanticCustomError("datetime_parsing", "This is not a time.")


#: A point in time with its offset, read as UTC.
Moment: TypeAlias = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_in_utc)]
#: One line of text, as names and codes are.
Line: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
#: Several sentences by a person.
Prose: TypeAlias = Annotated[str, StringConstraints(max_length=4_000)]
Email: TypeAlias = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=254, pattern=r"^[^\s@]+@[^\s@]+\.[^\s@]+$"),
]
#: Any JSON value an execution may be given.
AnyJson: TypeAlias = Annotated[Any, AfterValidator(bounded_json(MAX_BYTES))]
JsonObject: TypeAlias = Annotated[dict[str, Any], AfterValidator(bounded_json(MAX_BYTES))]
DefinitionObject: TypeAlias = Annotated[dict[str, Any], AfterValidator(bounded_json(DEFINITION_BYTES))]
DefinitionList: TypeAlias = Annotated[list[Any], AfterValidator(bounded_json(DEFINITION_BYTES))]

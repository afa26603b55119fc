"""Templates: workflows made to be copied, and the variables a copy is made with."""

from collections.abc import Mapping
from typing import Any, Final

from domain.definitions.pointers import escape, join
from domain.definitions.schemas import SchemaRefused, compile_schema
from domain.definitions.values import Json
from domain.errors import Invalid, Problem
from domain.payloads import misfits

#: What the header of a copy takes from its new name and organization, not from its template.
_OWN_HEADER: Final = ("namespace", "name", "version")
_NOTHING: Final[tuple[Json, ...]] = (None, "", [], {})
#: As a default of a shipped template: the name of the organization that looks at it.
ORGANIZATION: Final = "{{ organization }}"


def schema_of(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of the form for all variables, filled with their defaults.

    A variable whose default says something is required: emptying its field is a mistake, not a wish for the default.
    """
    declared = _declared(variables)
    return {
        "type": "object",
        "properties": {name: _property(each) for name, each in declared.items()},
        "required": [name for name, each in declared.items() if each.get("default") not in _NOTHING],
        "additionalProperties": False,
    }


def instantiated(variables: Mapping[str, Any], given: Mapping[str, Json]) -> dict[str, Any]:
    """The declared variables with the given values as their defaults.

    Raises Invalid naming every value of a variable that is not declared, and every one that does not fit.
    """
    declared = _declared(variables)
    problems = [problem for name in given for problem in _problems(declared, name, given[name])]
    if problems:
        raise Invalid("The template cannot be filled in like this.", problems=problems)
    return {
        **variables,
        **{name: {**declared[name], "default": value} for name, value in given.items()},
    }


def addressed_to(variables: Mapping[str, Any], organization: str) -> dict[str, Any]:
    """The variables of a shipped template as an organization of that name is shown them."""
    return {
        name: {**declared, "default": organization} if declared["default"] == ORGANIZATION else declared
        for name, declared in variables.items()
    }


def copied(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The definition without the names that only one workflow can have; publishing gives it its own."""
    document = definition.get("document")
    if not isinstance(document, dict):
        return dict(definition)
    header = {name: value for name, value in document.items() if name not in _OWN_HEADER}
    return {**definition, "document": header}


def _declared(variables: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A draft may be stored with mistakes; what is no declaration declares nothing."""
    return {name: each for name, each in variables.items() if isinstance(each, dict)}


def _property(declared: Mapping[str, Any]) -> dict[str, Any]:
    beside = {name: declared[name] for name in ("description", "default") if name in declared}
    return {**_schema(declared), **beside}


def _problems(declared: Mapping[str, Mapping[str, Any]], name: str, value: Json) -> list[Problem]:
    at = join("#/variables", name)
    if name not in declared:
        known = ", ".join(sorted(declared)) or "none"
        return [
            Problem(at, "The template has no variable of this name.", f"It has {known}.", "unknown_field")
        ]
    try:
        schema = compile_schema(_schema(declared[name]))
    except SchemaRefused as refusal:
        return [Problem(at, f"The schema of this variable cannot be used: {refusal}.", "Mend the template.")]
    return misfits(schema, value, f"variables/{escape(name)}")


def _schema(declared: Mapping[str, Any]) -> dict[str, Any]:
    schema = declared.get("schema")
    return schema if isinstance(schema, dict) else {}

"""Publishing freezes a definition: header filled in, calls pinned, one digest over the result."""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from domain.actions import Catalogue
from domain.definitions.functions import Fetched, calls_of, key_of, name_of
from domain.definitions.model import DSL_VERSION, MAX_DEFINITION_BYTES
from domain.definitions.program import ENGINE
from domain.definitions.steplists import every_step, rewritten_step
from domain.definitions.validation import Checked, Elsewhere, Resolved, check
from domain.definitions.validation.calls import Calls
from domain.definitions.validation.report import Report
from domain.definitions.validation.schedule import SCHEDULED
from domain.definitions.values import canonical
from domain.definitions.writing import in_full, step_in_full
from domain.errors import Invalid, Problem
from domain.executions import TriggerType

_FIRST_VERSION: Final = "1.0.0"


@dataclass(frozen=True, slots=True)
class Published:
    """What a version stores: the document people read, the form the interpreter runs, and its digest."""

    document: dict[str, Any]
    compiled: dict[str, Any]
    sha256: str
    triggers: tuple["CompiledTrigger", ...] = ()
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class CompiledTrigger:
    """A row of `triggers`; its name is how it is found again when the workflow is published anew."""

    type: TriggerType
    name: str
    configuration: dict[str, Any]
    is_active: bool


def publish(
    definition: Any,
    *,
    name: str,
    namespace: str,
    triggers: Any = None,
    actions: Any = None,
    variables: Any = None,
    catalogue: Catalogue,
    secrets: Collection[str] | None = None,
    functions: Mapping[str, Fetched] | None = None,
) -> Published:
    """Raises `Invalid` with every problem, warnings among them, when there is an error.

    `functions` are those that `functions.addresses` names, by address, and those they call themselves. Without
    them a definition that calls any cannot be published.
    """
    checked = check(
        definition,
        triggers=triggers,
        actions=actions,
        variables=variables,
        catalogue=catalogue,
        secrets=secrets,
        functions=Elsewhere(functions),
    )
    if checked.errors:
        count = len(checked.errors)
        told = "1 problem" if count == 1 else f"{count} problems"
        raise Invalid(f"The definition has {told}; see `errors` for each.", problems=checked.problems)
    document = _normalised(checked.definition, name, namespace)
    calls, references = _meanings(checked.calls, _calls(document))
    declared = checked.variables or {}
    compiled = {
        "engine": ENGINE,
        "document": document,
        "calls": calls,
        "variables": {each: declared[each]["default"] for each in declared},
    }
    if references and functions is None:
        told = (
            "This definition calls functions that are kept elsewhere; they are fetched when it is published."
        )
        raise Invalid(told, problems=checked.problems)
    if references:
        compiled["references"] = {call: key_of(address) for call, address in references.items()}
        compiled["functions"] = _functions(catalogue, functions or {}, references.values())
    return Published(document, compiled, digest(compiled), _triggers(checked), tuple(checked.problems))


def _meanings(calls: Calls, called: Iterator[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """What each `call` means: an action in the version it will run in, or the address of a function."""
    pinned, references = {}, {}
    for call in sorted(set(called)):
        if call in calls.configured or not calls.functions.has(call):
            resolved = calls.resolve(Report(), "", call)
            assert resolved is not None, "validation resolved every call"
            pinned[call] = _pinned(resolved)
        elif address := calls.functions.address(call):
            references[call] = address
    return pinned, references


def _functions(
    catalogue: Catalogue, fetched: Mapping[str, Fetched], addresses: Collection[str]
) -> dict[str, Any]:
    """Every function from elsewhere as it was fetched, those among them that only another one calls."""
    functions: dict[str, Any] = {}
    waiting = list(addresses)
    while waiting:
        address = waiting.pop()
        if key_of(address) in functions:
            continue
        function = fetched[address]
        assert function.definition is not None, "validation refuses what was not fetched"
        definition = rewritten_step(function.definition, step_in_full)
        pinned, references = _meanings(Calls(catalogue, {}), calls_of(definition))
        functions[key_of(address)] = {
            "name": name_of(address),
            "address": address,
            "sha256": function.sha256,
            "definition": definition,
            "calls": pinned,
            "references": {call: key_of(other) for call, other in references.items()},
        }
        waiting.extend(references.values())
    if len(canonical(functions)) > MAX_DEFINITION_BYTES:
        kilobytes = MAX_DEFINITION_BYTES // 1024
        told = f"The functions that are kept elsewhere are larger than {kilobytes} KB together."
        raise Invalid(told, problems=[Problem("/do", told, "Call fewer or smaller ones.", "too_large")])
    return functions


def _triggers(checked: Checked) -> tuple[CompiledTrigger, ...]:
    """Those of the list beside the definition, and the one that its own `schedule` is."""
    listed = tuple(
        CompiledTrigger(
            type=TriggerType(each["type"]),
            name=each.get("name", each["type"]),
            configuration=each.get("configuration", {}),
            is_active=each.get("is_active", True),
        )
        for each in checked.triggers or ()
    )
    schedule = checked.definition.get("schedule")
    return listed if schedule is None else (*listed, _scheduled(schedule))


def _scheduled(schedule: dict[str, Any]) -> CompiledTrigger:
    type = TriggerType.EVENT if "on" in schedule else TriggerType.SCHEDULE
    return CompiledTrigger(type, SCHEDULED, dict(schedule), is_active=True)


def digest(compiled: dict[str, Any]) -> str:
    """SHA-256 in hexadecimal, equal for equal content whatever the order of keys."""
    return hashlib.sha256(canonical(compiled)).hexdigest()


def dns_label(text: str, otherwise: str) -> str:
    """A name as people write it, as a DNS label: `Client onboarding` becomes `client-onboarding`."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].strip("-") or otherwise


def _pinned(resolved: Resolved) -> dict[str, Any]:
    spec = resolved.spec
    return {
        "action": spec.name,
        "version": spec.version,
        "lane": spec.lane.value,
        "effect": spec.effect.value,
        "timeout_ms": round(spec.timeout.total_seconds() * 1000),
        "with": dict(resolved.arguments),
    }


def _normalised(definition: dict[str, Any], name: str, namespace: str) -> dict[str, Any]:
    header = {
        "dsl": DSL_VERSION,
        "namespace": dns_label(namespace, "default"),
        "name": dns_label(name, "workflow"),
        "version": _FIRST_VERSION,
    }
    rest = {field: value for field, value in definition.items() if field not in ("document", "do")}
    document = {**header, **definition.get("document", {})}
    return in_full({"document": document, **rest, "do": definition["do"]})


def _calls(document: dict[str, Any]) -> Iterator[str]:
    """What every step calls, and what undoes it."""
    for body in every_step(document):
        if "call" in body:
            yield body["call"]
        undoing = body.get("metadata", {}).get("compensate")
        if undoing is not None:
            yield undoing["call"]

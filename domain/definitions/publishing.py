"""Publishing freezes a definition: header filled in, calls pinned, one digest over the result."""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from domain.actions import Catalogue
from domain.definitions.model import DSL_VERSION
from domain.definitions.program import ENGINE
from domain.definitions.steplists import every_step
from domain.definitions.validation import Resolved, check
from domain.definitions.validation.report import Report
from domain.definitions.values import canonical
from domain.definitions.writing import in_full
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
) -> Published:
    """Raises `Invalid` with every problem, warnings among them, when there is an error."""
    checked = check(
        definition,
        triggers=triggers,
        actions=actions,
        variables=variables,
        catalogue=catalogue,
        secrets=secrets,
    )
    if checked.errors:
        count = len(checked.errors)
        told = "1 problem" if count == 1 else f"{count} problems"
        raise Invalid(f"The definition has {told}; see `errors` for each.", problems=checked.problems)
    document = _normalised(checked.definition, name, namespace)
    unused = Report()
    calls = {}
    for call in sorted(set(_calls(document))):
        resolved = checked.calls.resolve(unused, "", call)
        assert resolved is not None, "validation resolved every call"
        calls[call] = _pinned(resolved)
    declared = checked.variables or {}
    compiled = {
        "engine": ENGINE,
        "document": document,
        "calls": calls,
        "variables": {each: declared[each]["default"] for each in declared},
    }
    return Published(
        document, compiled, digest(compiled), _triggers(checked.triggers), tuple(checked.problems)
    )


def _triggers(written: list[dict[str, Any]] | None) -> tuple[CompiledTrigger, ...]:
    return tuple(
        CompiledTrigger(
            type=TriggerType(each["type"]),
            name=each.get("name", each["type"]),
            configuration=each.get("configuration", {}),
            is_active=each.get("is_active", True),
        )
        for each in written or ()
    )


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

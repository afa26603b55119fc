"""What a `call` means: a configured action, a call of the DSL itself, or an action of the catalogue."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from domain.actions import ActionSpec, Catalogue, Lane
from domain.definitions.model import PROTOCOLS, REFUSED_FILE, REFUSED_STDIO, UNSUPPORTED_PROTOCOLS
from domain.definitions.validation.functions import Functions
from domain.definitions.validation.report import Report, shown

_REFERENCE: Final = re.compile(
    r"(?P<name>[A-Za-z][A-Za-z0-9_.-]{0,99})(?::(?P<version>\d{1,6}\.\d{1,6}\.\d{1,6}))?(?:@(?P<catalog>[A-Za-z0-9_-]{1,63}))?",
    re.ASCII,
)


#: What can be done instead of a call of the DSL that this version does not run.
_INSTEAD: Final = {
    "grpc": "Call the service over HTTP: most servers offer its methods as JSON too.",
    "asyncapi": "Use `emit` and `listen`, and let a webhook bring in what comes from outside.",
    "a2a": "Call the agent's HTTP endpoint with `call: http`.",
    "mcp": "Call the server's HTTP endpoint with `call: http`.",
}


@dataclass(frozen=True, slots=True)
class Resolved:
    """An action in the exact version it will run in, with the arguments its configuration gives it."""

    spec: ActionSpec
    arguments: Mapping[str, Any]


def takes_secrets(spec: ActionSpec) -> bool:
    """Only an activity of its own can keep a secret out of history; a task's arguments are shown to people."""
    return spec.lane is Lane.ACTIVITY


class Calls:
    """Resolves the `call` texts of one definition."""

    def __init__(
        self,
        catalogue: Catalogue,
        configured: Mapping[str, Resolved | None],
        functions: Functions | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.functions = functions or Functions.none()
        #: None marks a configured action that is wrong itself: its problem is told there, not at every call.
        self.configured = configured

    def resolve(
        self, report: Report, pointer: str, name: str, *, arguments: object = None
    ) -> Resolved | None:
        """The action, or None after noting what is wrong. Functions are asked for first, with `functions.has`."""
        if name in self.configured:
            return self.configured[name]
        if name in UNSUPPORTED_PROTOCOLS:
            if name == "mcp" and _uses_stdio(arguments):
                report.refused(pointer, "MCP over stdio", REFUSED_STDIO)
            else:
                hint = _INSTEAD.get(name, "Use `call: http` or an action of the catalogue.")
                report.unsupported(pointer, f"`call: {name}`", hint)
            return None
        spec = self.find(report, pointer, PROTOCOLS.get(name, name), self.configured)
        return None if spec is None else Resolved(spec, {})

    def find(
        self, report: Report, pointer: str, reference: str, others: Mapping[str, object]
    ) -> ActionSpec | None:
        """An action of the catalogue by `name`, `name:version` or `name:version@default`."""
        if reference.lower().startswith("file:"):
            report.refused(pointer, "A `file:` address", REFUSED_FILE)
            return None
        if "://" in reference:
            message = "A configured action stands for an action of the catalogue, not for a function."
            report.add(pointer, "not_an_action", message, "Call the function itself in a step.")
            return None
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            message = f"`{shown(reference)}` is not the name of an action."
            report.add(
                pointer, "unknown_action", message, "Write `name`, `name:1.0.0` or `name:1.0.0@default`."
            )
            return None
        name, version, catalog = match["name"], match["version"], match["catalog"]
        if catalog not in (None, "default"):
            hint = report.did_you_mean(catalog, sorted(self.functions.roots)) or (
                "Declare it in `use.catalogs`, or use `@default`."
            )
            report.add(pointer, "unknown_catalog", f"There is no catalog `{shown(catalog)}`.", hint)
            return None
        spec = self.catalogue.find(name, version)
        if spec is None:
            self._unknown(report, pointer, name, version, others)
        return spec

    def _unknown(
        self, report: Report, pointer: str, name: str, version: str | None, others: Mapping[str, object]
    ) -> None:
        newest = self.catalogue.find(name)
        if newest is not None:
            message = f"Action `{name}` has no version {version}."
            report.add(pointer, "unknown_action", message, f"The newest is `{name}:{newest.version}`.")
            return
        known = self.catalogue.names() | set(others) | set(PROTOCOLS) | self.functions.names()
        hint = report.did_you_mean(name, sorted(known))
        report.add(pointer, "unknown_action", f"There is no action `{shown(name)}`.", hint)


def _uses_stdio(arguments: object) -> bool:
    transport = arguments.get("transport") if isinstance(arguments, dict) else None
    return isinstance(transport, dict) and "stdio" in transport

"""Functions: those that `use.functions` holds, and those that are kept at an address or in a catalog."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from domain.definitions.functions import (
    MAX_DEPTH,
    Fetched,
    address_of,
    calls_of,
    catalog_roots,
    is_elsewhere,
    is_usable,
)
from domain.definitions.model import PROTOCOLS, REFUSED_FILE, UNSUPPORTED_PROTOCOLS
from domain.definitions.pointers import join
from domain.definitions.validation.certainty import is_open
from domain.definitions.validation.flow import check_name
from domain.definitions.validation.report import Report, shown
from domain.errors import Problem

#: Judges a function that was fetched, as the only step of a definition.
Judge = Callable[[Mapping[str, Any], "Elsewhere"], list[Problem]]
_TOLD: Final = 3
_READING_STEPS: Final = frozenset({"unknown_step", "unnamed_step", "ambiguous_step"})


class Elsewhere:
    """The functions that were fetched to be published, by address; None while validation is offline."""

    def __init__(self, fetched: Mapping[str, Fetched] | None) -> None:
        self.fetched = fetched
        self._judged: dict[str, list[str]] = {}
        self._judging: list[str] = []

    def problems(self, address: str, judge: Judge) -> list[str]:
        """Why the function at this address cannot be used, in sentences."""
        assert self.fetched is not None
        function = self.fetched.get(address) or Fetched(None, problem="it was not fetched")
        if function.definition is None:
            return [function.problem]
        if address in self._judging:
            return ["it calls itself, directly or through others"]
        if len(self._judging) == MAX_DEPTH:
            return [f"functions call each other more than {MAX_DEPTH} deep"]
        if address not in self._judged:
            self._judging.append(address)
            self._judged[address] = _sentences(function.definition, judge(function.definition, self))
            self._judging.pop()
        return self._judged[address]


class Functions:
    """What a definition can call besides actions."""

    def __init__(self, definition: Mapping[str, Any], elsewhere: Elsewhere, judge: Judge) -> None:
        use = definition.get("use")
        inline = use.get("functions") if isinstance(use, dict) else None
        self.inline: Mapping[str, Any] = inline if isinstance(inline, dict) else {}
        self.roots = catalog_roots(definition)
        self.elsewhere = elsewhere
        self._judge = judge

    @classmethod
    def none(cls) -> "Functions":
        return cls({}, Elsewhere(None), lambda definition, elsewhere: [])

    def has(self, call: str) -> bool:
        return call in self.inline or is_elsewhere(call, self.roots)

    def address(self, call: str) -> str | None:
        """Where the function is kept; None for an inline one."""
        return None if call in self.inline else address_of(call, self.roots)

    def check_call(self, report: Report, pointer: str, call: str) -> None:
        """That a function kept elsewhere can be had; a problem inside it is told where it is called."""
        if call in self.inline:
            return
        if call.lower().startswith("file:"):
            report.refused(pointer, "A `file:` address", REFUSED_FILE)
            return
        address = address_of(call, self.roots)
        if address is None or is_open(call) or not is_usable(address):
            message = "A function's address begins with https:// and has at most 500 characters."
            report.add(pointer, "bad_address", message, "Write the whole address, without expressions.")
        elif self.elsewhere.fetched is None:
            message = f"The function `{shown(call)}` is fetched when the workflow is published."
            report.add(pointer, "fetched_later", message, severity="warning")
        else:
            for problem in self.elsewhere.problems(address, self._judge)[:_TOLD]:
                message = f"The function at `{shown(address)}` cannot be used: {problem}."
                report.add(pointer, "unusable_function", message, "Correct it there, or call another one.")

    def names(self) -> frozenset[str]:
        return frozenset(self.inline)


def check_functions(report: Report, functions: Functions) -> None:
    """Their names, and that none calls itself; their steps are checked like all others."""
    for name in functions.inline:
        at = join("/use/functions", name)
        check_name(report, at, name)
        if name in PROTOCOLS or name in UNSUPPORTED_PROTOCOLS:
            message = f"`{name}` is a call of the DSL itself."
            report.add(at, "reserved_name", message, "Choose another name.")
        elif is_elsewhere(name, functions.roots):
            message = f"`{shown(name)}` means a function kept elsewhere."
            report.add(at, "reserved_name", message, "Choose another name.")
    for circle in _circles(functions.inline):
        at = join("/use/functions", circle[0])
        way = " → ".join(f"`{shown(name)}`" for name in [*circle, circle[0]])
        message = f"Function `{shown(circle[0])}` calls itself: {way}."
        report.add(at, "recursive_function", message, "Use a loop (`for`) instead.")


def check_catalogs(report: Report, catalogs: Any) -> None:
    """Each catalog is the address of its root, where anybody can read it."""
    at = "/use/catalogs"
    declared = report.object(at, catalogs, "`catalogs`")
    for name, value in (declared or {}).items():
        place = join(at, name)
        catalog = report.object(place, value, "A catalog")
        if catalog is None:
            continue
        report.unknown_fields(place, catalog, {"endpoint"}, "A catalog")
        if "endpoint" not in catalog:
            message = f"Catalog `{shown(name)}` does not say where it is."
            report.add(place, "missing_field", message, "Add its root as `endpoint`.")
            continue
        _check_root(report, join(place, "endpoint"), catalog["endpoint"])


def _check_root(report: Report, at: str, endpoint: Any) -> None:
    if isinstance(endpoint, dict):
        if "authentication" in endpoint:
            place = join(at, "authentication")
            report.unsupported(place, "A catalog behind a login", "Use one that anybody can read.")
        report.unknown_fields(at, endpoint, {"uri", "authentication"}, "An endpoint")
        endpoint, at = endpoint.get("uri"), join(at, "uri")
    root = report.text(at, endpoint, "The root of a catalog")
    if root is None:
        return
    if root.lower().startswith("file:"):
        report.refused(at, "A `file:` address", REFUSED_FILE)
    elif is_open(root) or "{" in root or not is_usable(root):
        message = "The root of a catalog is an address that begins with https://, without expressions."
        report.add(at, "bad_address", message, "Functions are fetched when the workflow is published.")


def _circles(functions: Mapping[str, Any]) -> Iterator[list[str]]:
    """Each way on which a function comes to call itself, once."""
    calls = {
        name: sorted({call for call in calls_of(body) if call in functions})
        for name, body in functions.items()
    }
    done: set[str] = set()
    for start in functions:
        way: list[str] = []
        stack: list[Iterator[str]] = [iter([start])]
        while stack:
            name = next(stack[-1], None)
            if name is None:
                stack.pop()
                if way:
                    done.add(way.pop())
            elif name in way:
                yield way[way.index(name) :]
            elif name not in done:
                way.append(name)
                stack.append(iter(calls[name]))


def _sentences(definition: Mapping[str, Any], problems: list[Problem]) -> list[str]:
    sentences = []
    if any("$steps" in text for text in _texts(definition)):
        sentences.append("it reads `$steps`, but a function sees only what it is given")
    for problem in problems:
        if problem.code == "unknown_secret":
            sentences.append("it reads secrets, which only the definition itself and its own functions may")
        elif problem.severity == "error" and problem.code not in _READING_STEPS:
            # Pointers begin with the list and the name under which it is judged alone.
            place = "/" + problem.pointer.split("/", 4)[4] if problem.pointer.count("/") > 3 else "/"
            sentences.append(f"at {place}: {problem.message.rstrip('.')}")
    return sentences


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)

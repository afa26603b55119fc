"""Functions kept outside of a definition: where one is found, who brings it, and what is asked for next."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from domain.definitions import documents
from domain.definitions.documents import Unreadable
from domain.definitions.steplists import found, step_lists

#: What a definition may bring together from elsewhere, and how deep such functions may call each other.
MAX_FUNCTIONS: Final = 20
MAX_FUNCTION_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 5
MAX_ADDRESS: Final = 500

_CATALOGUED: Final = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]{0,62}):(?P<version>[0-9A-Za-z.+-]{1,40})@(?P<catalog>[A-Za-z0-9_-]{1,63})",
    re.ASCII,
)
_IN_CATALOGUE: Final = re.compile(r"/functions/([^/]+)/([^/]+)/function\.(?:ya?ml|json)$")
#: The pages on which these sites show a file, and where the file itself is.
_GITHUB: Final = re.compile(r"/([^/]+)/([^/]+)(?:/(?:tree|blob)/([^/]+)(/.*)?)?")
_GITHUB_RELEASE: Final = re.compile(r"/([^/]+)/([^/]+)/(.+)@([^/@]+)")
_GITLAB: Final = re.compile(r"(/.+)/-/(?:tree|blob)/(.+)")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What stood at an address: a function, or the reason why there is none."""

    definition: Mapping[str, Any] | None
    sha256: str = ""
    problem: str = ""


class FunctionUnavailable(Exception):
    """The address did not give a function's text; the message says why, in words for the author."""


class FunctionSource(Protocol):
    """Brings the text at an address of the web, guarded as every request that tenants write."""

    async def fetch(self, organization_id: UUID, address: str) -> bytes:
        """At most MAX_FUNCTION_BYTES. Raises FunctionUnavailable."""
        ...


class NoFunctions:
    """For processes that fetch nothing."""

    async def fetch(self, organization_id: UUID, address: str) -> bytes:
        raise FunctionUnavailable("this server does not fetch functions")


def is_elsewhere(call: str, catalogs: Mapping[str, Any]) -> bool:
    """Whether a `call` names a function that is kept at an address or in a catalog that `use.catalogs` declares."""
    match = _CATALOGUED.fullmatch(call)
    return "://" in call or (match is not None and match["catalog"] in catalogs)


def address_of(call: str, catalogs: Mapping[str, str]) -> str | None:
    """Where the function's text is; `catalogs` are the addresses of their roots by name."""
    match = _CATALOGUED.fullmatch(call)
    if match is None:
        return raw(call)
    root = catalogs.get(match["catalog"])
    if root is None:
        return None
    try:
        scheme, host, path, _, _ = urlsplit(root)
    except ValueError:
        return None
    if host.lower() == "github.com" and re.fullmatch(r"/[^/]+/[^/]+/?", path):
        path = f"{path.rstrip('/')}/tree/HEAD"
    inside = f"{path.rstrip('/')}/functions/{match['name']}/{match['version']}/function.yaml"
    return raw(urlunsplit((scheme, host, inside, "", "")))


def raw(address: str) -> str:
    """The file itself, where the address leads to a page of GitHub or GitLab about it."""
    try:
        scheme, host, path, query, _ = urlsplit(address)
    except ValueError:
        return address
    if host.lower() == "github.com":
        if (match := _GITHUB.fullmatch(path)) and match[3] and match[4]:
            return f"https://raw.githubusercontent.com/{match[1]}/{match[2]}/{match[3]}{match[4]}"
        if match := _GITHUB_RELEASE.fullmatch(path):
            owner, repository, inside, ref = match.groups()
            return f"https://raw.githubusercontent.com/{owner}/{repository}/{ref}/{inside}/function.yaml"
    if host.lower() == "gitlab.com" and (match := _GITLAB.fullmatch(path)):
        return f"https://gitlab.com{match[1]}/-/raw/{match[2]}"
    return urlunsplit((scheme, host, path, query, ""))


def name_of(address: str) -> str:
    """What the function's step is called: the last words of its path that say something."""
    path = urlsplit(address).path
    match = _IN_CATALOGUE.search(path)
    words = match[1] if match else path.rstrip("/").rpartition("/")[2].partition(".")[0]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", words).strip("-")[:40] or "function"


def key_of(address: str) -> str:
    """The function's name within a version. Addresses can hold what must not be shown, so they do not stand in it."""
    return f"{name_of(address)}-{hashlib.sha256(address.encode()).hexdigest()[:8]}"


def catalog_roots(definition: Any) -> dict[str, str]:
    """The addresses that `use.catalogs` declares, as far as they are written out."""
    use = definition.get("use") if isinstance(definition, Mapping) else None
    catalogs = use.get("catalogs") if isinstance(use, Mapping) else None
    roots = {}
    for name, catalog in catalogs.items() if isinstance(catalogs, Mapping) else ():
        endpoint = catalog.get("endpoint") if isinstance(catalog, Mapping) else None
        root = endpoint.get("uri") if isinstance(endpoint, Mapping) else endpoint
        if isinstance(root, str):
            roots[name] = root
    return roots


def addresses(definition: Any) -> list[str]:
    """Of every function that a definition calls and does not hold itself, in order of appearance."""
    roots = catalog_roots(definition)
    found_at = (address_of(call, roots) for call in every_call(definition) if is_elsewhere(call, roots))
    return list(dict.fromkeys(address for address in found_at if address is not None and is_usable(address)))


def every_call(definition: Any) -> Iterator[str]:
    """The text of every `call` of a definition: in its steps, its functions and its extensions."""
    if not isinstance(definition, Mapping):
        return
    yield from calls_in(definition.get("do"))
    use = definition.get("use")
    functions, extensions = (
        use.get(part) if isinstance(use, Mapping) else None for part in ("functions", "extensions")
    )
    for body in functions.values() if isinstance(functions, Mapping) else ():
        yield from calls_of(body)
    for entry in extensions if isinstance(extensions, list) else ():
        for extension in entry.values() if isinstance(entry, Mapping) else ():
            for part in ("before", "after"):
                yield from calls_in(extension.get(part) if isinstance(extension, Mapping) else None)


def nested(function: Fetched) -> list[str]:
    """The addresses of the functions that one from elsewhere calls; it knows no catalogs."""
    called = calls_of(function.definition) if function.definition is not None else ()
    return [address for call in called if is_elsewhere(call, {}) and is_usable(address := raw(call))]


def is_usable(address: str) -> bool:
    if len(address) > MAX_ADDRESS or not address.lower().startswith(("https://", "http://")):
        return False
    try:
        return bool(urlsplit(address).hostname)
    except ValueError:
        return False


def calls_of(body: Any) -> Iterator[str]:
    """Every `call` inside one step, however deep."""
    if isinstance(body, Mapping):
        if isinstance(body.get("call"), str):
            yield body["call"]
        for path in step_lists(body):
            yield from calls_in(found(body, path))


def calls_in(entries: Any) -> Iterator[str]:
    for entry in entries if isinstance(entries, list) else ():
        for body in entry.values() if isinstance(entry, Mapping) else ():
            yield from calls_of(body)


def read(content: bytes) -> Fetched:
    """The function a text holds; what is none is told as a problem."""
    digest = hashlib.sha256(content).hexdigest()
    try:
        value = documents.load(content.decode()).value
    except UnicodeDecodeError:
        return Fetched(None, digest, "it is not UTF-8 text")
    except Unreadable as error:
        place = f"line {error.position.line}, column {error.position.column}"
        return Fetched(None, digest, f"it is neither YAML nor JSON ({place}: {error.message})")
    if not isinstance(value, dict):
        return Fetched(None, digest, "it holds no object; a function is a step, such as `call: http`")
    return Fetched(value, digest)

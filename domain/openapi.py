"""Operations of OpenAPI 3.0 and 3.1 and Swagger 2.0 documents: what a call must know, and nothing else of them.

Documents are foreign: references lead within the document only, and every walk is bounded.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from domain.definitions.faults import Fault
from domain.http import METHODS, is_json
from domain.openapi_references import Document, Unusable

FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
MAX_PARAMETERS: Final = 200
MAX_OPERATIONS: Final = 20_000
_MAX_PATH: Final = 2048
_PLACES: Final = ("path", "query", "header", "cookie")
_SUPPORTED: Final = "OpenAPI 3.0 or 3.1, or Swagger 2.0"


@dataclass(frozen=True, slots=True)
class Parameter:
    """`style` as OpenAPI 3 calls it; `media_type` when its value is written as content of that type."""

    name: str
    place: str
    required: bool
    style: str
    explode: bool
    reserved: bool = False
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """The request body: by the name `name`, or by its `fields`, of which some are needed."""

    name: str
    media_type: str
    required: bool
    fields: frozenset[str]
    needed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Operation:
    id: str
    method: str
    #: Where it is, with `{name}` for path parameters.
    server: str
    path: str
    parameters: tuple[Parameter, ...]
    body: Body | None


def read_operation(document: Any, address: str, operation_id: str) -> Operation:
    """The operation of that id. `address` is where the document was found; relative servers begin there.

    Raises Fault configuration 400: no such document or operation, or one that calls cannot carry out.
    """
    if not isinstance(document, dict):
        raise _refused(f"it is not an object; expected {_SUPPORTED}")
    found = Document(document)
    is_swagger = document.get("swagger") == "2.0"
    if not is_swagger and not str(document.get("openapi", "")).startswith(("3.0", "3.1")):
        told = document.get("openapi", document.get("swagger"))
        raise _refused(f"its version is {str(told)[:20]!r}; expected {_SUPPORTED}")
    try:
        path, method, item, operation = _find(found, operation_id)
        from_path = _parameters(found, item.get("parameters"))
        own = _parameters(found, operation.get("parameters"))
        # An operation's own parameter stands for the path's of the same name and place.
        declared = {(str(each.get("name")), str(each.get("in"))): each for each in [*from_path, *own]}
        if len(declared) > MAX_PARAMETERS:
            raise Unusable(f"it has more than {MAX_PARAMETERS} parameters")
        if is_swagger:
            server = _swagger_server(document, operation, address)
            parameters, body = _swagger_parameters(found, list(declared.values()), operation)
        else:
            server = _server(found, [operation, item, document], address)
            parameters = tuple(_parameter(each) for each in declared.values())
            body = _body(found, operation, parameters)
    except Unusable as problem:
        raise _refused(f"operation {operation_id[:100]!r} cannot be called: {problem}") from None
    return Operation(operation_id, method.upper(), server, path, parameters, body)


def _find(document: Document, wanted: str) -> tuple[str, str, dict[str, Any], dict[str, Any]]:
    known: list[str] = []
    matches = []
    for path, method, item, operation in _operations(document):
        id = operation.get("operationId")
        if id == wanted:
            matches.append((path, method, item, operation))
        elif isinstance(id, str):
            known.append(id[:100])
        if len(known) > MAX_OPERATIONS:
            raise _refused(f"it has more than {MAX_OPERATIONS} operations")
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise _refused(f"{len(matches)} operations have the id {wanted[:100]!r}")
    close = get_close_matches(wanted[:100], known[:1000], 1)
    hint = (
        f"did you mean {close[0]!r}?" if close else f"it has {', '.join(sorted(known)[:10]) or 'none at all'}"
    )
    raise Fault(
        "configuration",
        400,
        "Unknown operation",
        f"the OpenAPI document has no operation {wanted[:100]!r}; {hint}",
    )


def _operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    paths = document.root.get("paths")
    for path, written in paths.items() if isinstance(paths, dict) else ():
        try:
            item = document.object(written)
        except Unusable:  # the operations elsewhere may do
            continue
        for method in item:
            if method.upper() in METHODS and isinstance(item[method], dict):
                yield path, method, item, item[method]


def _parameters(document: Document, written: Any) -> list[dict[str, Any]]:
    if not isinstance(written, list):
        return []
    if len(written) > MAX_PARAMETERS:
        raise Unusable(f"it has more than {MAX_PARAMETERS} parameters")
    return [document.object(each) for each in written]


def _parameter(written: Mapping[str, Any]) -> Parameter:
    name, place = written.get("name"), written.get("in")
    if not isinstance(name, str) or place not in _PLACES:
        raise Unusable("a parameter has no name, or stands nowhere a call can put it")
    style = written.get("style", "form" if place in ("query", "cookie") else "simple")
    content = written.get("content")
    return Parameter(
        name=name,
        place=str(place),
        required=written.get("required") is True or place == "path",
        style=str(style),
        explode=written.get("explode", style == "form") is True,
        reserved=written.get("allowReserved") is True,
        media_type=next(iter(content), None) if isinstance(content, dict) else None,
    )


def _body(document: Document, operation: Mapping[str, Any], parameters: tuple[Parameter, ...]) -> Body | None:
    if not isinstance(operation.get("requestBody"), dict):
        return None
    written = document.object(operation["requestBody"])
    content = written.get("content")
    offered = [kind for kind in content if isinstance(kind, str)] if isinstance(content, dict) else []
    if not offered:
        raise Unusable("its request body has no content type")
    chosen = _preferred(offered)
    assert isinstance(content, dict)
    media = content[chosen]
    schema = media.get("schema") if isinstance(media, dict) else None
    name = operation.get("x-codegen-request-body-name", written.get("x-bodyName"))
    if not isinstance(name, str) or not name:
        name = "body"
    taken = {each.name for each in parameters}
    fields = frozenset(document.fields(schema)) - taken
    return Body(name, chosen, written.get("required") is True, fields)


def _preferred(offered: list[str]) -> str:
    for fits in (is_json, lambda kind: kind == FORM, lambda kind: kind == MULTIPART):
        for kind in offered:
            if fits(kind):
                return kind
    return "application/json" if "*" in offered[0] else offered[0]


def _server(document: Document, levels: list[Mapping[str, Any]], address: str) -> str:
    """The first server of the innermost level that names one, with the defaults of its variables."""
    for level in levels:
        servers = level.get("servers")
        if isinstance(servers, list) and servers and isinstance(servers[0], dict):
            url = servers[0].get("url")
            if not isinstance(url, str) or len(url) > _MAX_PATH:
                raise Unusable("its server has no url, or an endless one")
            variables = servers[0].get("variables")
            for name, variable in variables.items() if isinstance(variables, dict) else ():
                default = variable.get("default") if isinstance(variable, dict) else None
                if isinstance(default, str) and len(url) + len(default) <= _MAX_PATH:
                    url = url.replace("{" + name + "}", default, 1)
            return _absolute(url, address)
    return _absolute("/", address)


def _swagger_server(document: Mapping[str, Any], operation: Mapping[str, Any], address: str) -> str:
    found = urlsplit(address)
    schemes = operation.get("schemes", document.get("schemes"))
    offered = [each for each in schemes if each in ("https", "http")] if isinstance(schemes, list) else []
    scheme = "https" if "https" in offered else offered[0] if offered else found.scheme
    host, base = document.get("host", found.netloc), document.get("basePath", "/")
    return _absolute(f"{scheme}://{host}/{str(base).lstrip('/')}", address)


def _absolute(url: str, address: str) -> str:
    if len(url) > _MAX_PATH or "{" in url:
        raise Unusable("the address of its server is too long, or has a variable without a default")
    try:
        absolute = urljoin(address, url)
    except ValueError:
        absolute = ""
    if not absolute.startswith(("https://", "http://")):
        raise Unusable("the address of its server is no web address")
    return absolute.partition("#")[0].partition("?")[0].rstrip("/")


def _swagger_parameters(
    document: Document, declared: list[dict[str, Any]], operation: Mapping[str, Any]
) -> tuple[tuple[Parameter, ...], Body | None]:
    parameters, form = [], []
    body = None
    consumes = operation.get("consumes", document.root.get("consumes"))
    offered = [kind for kind in consumes if isinstance(kind, str)] if isinstance(consumes, list) else []
    for written in declared:
        name, place = written.get("name"), written.get("in")
        if not isinstance(name, str):
            raise Unusable("a parameter has no name")
        if place == "body":
            chosen = _preferred(offered) if offered else "application/json"
            required = written.get("required") is True
            body = Body(name, chosen, required, frozenset(document.fields(written.get("schema"))))
        elif place == "formData":
            form.append(written)
        else:
            parameters.append(_swagger_parameter(written))
    if form and body is None:
        chosen = MULTIPART if MULTIPART in offered and FORM not in offered else FORM
        needed = frozenset(each["name"] for each in form if each.get("required") is True)
        body = Body("body", chosen, bool(needed), frozenset(each["name"] for each in form), needed)
    if body is not None:
        taken = {each.name for each in parameters}
        body = replace(body, fields=body.fields - taken)
    return tuple(parameters), body


def _swagger_parameter(written: Mapping[str, Any]) -> Parameter:
    """`collectionFormat` in the words of OpenAPI 3."""
    place = written.get("in")
    form = written.get("collectionFormat", "csv")
    style = {"ssv": "spaceDelimited", "pipes": "pipeDelimited", "tsv": "tabDelimited"}.get(str(form))
    if style is None:
        style = "form" if place == "query" else "simple"
    return _parameter({**written, "style": style, "explode": form == "multi"})


def _refused(why: str) -> Fault:
    return Fault(
        "configuration", 400, "OpenAPI document unusable", f"the OpenAPI document cannot be used: {why}"
    )

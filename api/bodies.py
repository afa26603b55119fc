"""The gate before every route: body size, content type, strict JSON and usable query strings."""

from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import strictjson
from api.errors import PayloadTooLarge, UnsupportedMediaType, respond
from domain.errors import DomainError, Invalid, Problem
from domain.imports import MAXIMUM_FILE

BIGGEST = 1024 * 1024
#: Temporal's UI sends the sealed payloads of a whole history at once.
BIGGEST_OF_CODEC = 8 * 1024 * 1024
_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
#: Where the strictly read JSON of this request waits for whoever needs it again (the idempotency hash).
PARSED = "perdure.json"
RAW = "/v1/hooks/"
#: Files are read by their routes, once they know who sends them.
UPLOADS = frozenset({"/v1/clients/imports", "/v1/contacts/imports"})
#: A file, and what a form puts around it.
BIGGEST_UPLOAD = MAXIMUM_FILE + 64 * 1024
FILE_TOO_LARGE = f"The file is larger than {MAXIMUM_FILE // 1024**2} MB; split it into several."
#: Elsewhere bodies are forms.
JSON = ("/v1/", "/codec/")


class Bodies:
    """ASGI middleware: reads the body once within the cap, refuses what no route can use, replays."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A provider's request is read by its route: raw, within a cap of its own, in whatever format it comes.
        if scope["type"] != "http" or scope["path"].startswith(RAW):
            await self._app(scope, receive, send)
            return
        try:
            _check_query(scope["query_string"])
            if scope["path"] in UPLOADS:
                replay = _capped(receive)
            else:
                replay = await _gate(scope, receive) if scope["method"] in _WITH_BODY else receive
        except DomainError as error:
            await respond(error)(scope, receive, send)
            return
        await self._app(scope, replay, send)


async def _gate(scope: Scope, receive: Receive) -> Receive:
    headers: dict[bytes, bytes] = dict(scope["headers"])
    declared = headers.get(b"content-length", b"0")
    biggest = BIGGEST_OF_CODEC if scope["path"].startswith("/codec/") else BIGGEST
    if declared.isdigit() and int(declared[:20]) > biggest:
        raise PayloadTooLarge
    body = await _read(receive, biggest)
    if body:
        _check_type(scope["path"], headers.get(b"content-type", b"").decode("latin-1"))
        if scope["path"].startswith(JSON):
            scope[PARSED] = strictjson.read(body)
    return _replaying(body, receive)


async def _read(receive: Receive, biggest: int) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":  # the caller went away; nobody will read an answer
            return b""
        part = message.get("body", b"")
        size += len(part)
        if size > biggest:
            raise PayloadTooLarge
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _capped(receive: Receive) -> Receive:
    """Nobody reads more than a file may be large."""
    size = 0

    async def capped() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > BIGGEST_UPLOAD:
            raise PayloadTooLarge(FILE_TOO_LARGE)
        return message

    return capped


def _check_type(path: str, content_type: str) -> None:
    kind = content_type.partition(";")[0].strip().lower()
    wanted = "application/json" if path.startswith(JSON) else "application/x-www-form-urlencoded"
    if kind != wanted and not (wanted == "application/json" and kind.endswith("+json")):
        raise UnsupportedMediaType(
            f"The body is sent as {kind or 'nothing in particular'}; send Content-Type: {wanted}."
        )


def _check_query(query: bytes) -> None:
    for pair in query.split(b"&") if b"%" in query else ():
        raw = unquote_to_bytes(pair.replace(b"+", b" "))
        name = raw.partition(b"=")[0].decode("utf-8", "replace")
        try:
            usable = "\x00" not in raw.decode("utf-8")
        except UnicodeDecodeError:
            usable = False
        if not usable:
            message = "The query parameter is not UTF-8 text without NUL characters."
            raise Invalid(
                problems=[Problem(f"query/{strictjson.escape(name)}", message, "Remove the bytes.")]
            )


def _replaying(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


def parsed(scope: Any) -> Any:
    """The strictly read JSON body of this request, or None when it had none."""
    return scope.get(PARSED)

"""A partner system to call: records what it is sent, and can be slow or failing on request.

`python -m workers.devstack.echo --ledger FILE --port N`

POST /records (201, honours Idempotency-Key) · GET /records[?key=] · GET /healthz · GET /slow?ms=N ·
any method /status/{code}
"""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import uvicorn

from workers.devstack.ledger import Answer, Ledger
from workers.devstack.ports import LOOPBACK

BODY_LIMIT = 1024 * 1024
SLOW_LIMIT_MS = 120_000

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Echo:
    """The ASGI application; plain, so that the process stays small."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _body(receive)
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode()).items()}
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        answer = await self.answer(scope["method"], scope["path"], query, headers, body)
        content = json.dumps(answer.body).encode()
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"content-length", str(len(content)).encode()),
                ],
            }
        )
        empty = scope["method"] == "HEAD" or answer.status in (204, 304)
        await send({"type": "http.response.body", "body": b"" if empty else content})

    async def answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes | None
    ) -> Answer:
        """Decide the answer; `body` is None when it was too large."""
        if body is None:
            return Answer(413, {"error": f"The body is larger than {BODY_LIMIT} bytes."})
        match [method, *path.strip("/").split("/")]:
            case ["POST", "records"]:
                return await self.ledger.receive(method, path, headers.get("idempotency-key"), body)
            case ["GET", "records"]:
                wanted = query.get("key")
                found = [e for e in self.ledger.entries() if wanted in (None, e["idempotency_key"])]
                return Answer(200, {"records": found})
            case ["GET", "healthz"]:
                return Answer(200, {"status": "ok"})
            case ["GET", "slow"]:
                return await _slow(query.get("ms", "1000"))
            case [_, "status", code] if code.isdecimal() and 200 <= int(code) <= 599:
                return Answer(int(code), {"status": int(code)})
        return Answer(
            404, {"error": f"Nothing answers {method} {path}.", "see": "/records, /slow, /status/{code}"}
        )


async def _slow(text: str) -> Answer:
    if not text.isdecimal() or int(text) > SLOW_LIMIT_MS:
        return Answer(400, {"error": f"ms must be a whole number up to {SLOW_LIMIT_MS}."})
    await asyncio.sleep(int(text) / 1000)
    return Answer(200, {"slept_ms": int(text)})


async def _body(receive: Receive) -> bytes | None:
    parts = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts += message.get("body", b"")
        more = bool(message.get("more_body"))
        if len(parts) > BODY_LIMIT:
            return None
    return bytes(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    uvicorn.run(
        Echo(Ledger(options.ledger)),
        host=LOOPBACK,
        port=options.port,
        log_level="warning",
        lifespan="off",
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()

"""In front of Temporal's UI: the same pages, with one setting that the development server does not offer.

`python -m workers.devstack.temporal_ui --port N --behind M`

The UI asks a codec server for readable values, and must send the visitor's cookie along, or it would show
ciphertext to everybody. Temporal's own UI image has a variable for that (TEMPORAL_CODEC_INCLUDE_CREDENTIALS), the
UI inside `temporal server start-dev` has none: so its answer about its settings is completed here.
"""

import argparse
import asyncio
import json
from asyncio import StreamReader, StreamWriter
from contextlib import suppress

from workers.devstack.ports import LOOPBACK

SETTINGS = "/api/v1/settings"
HEAD_LIMIT = 64 * 1024
CHUNK = 64 * 1024


class Front:
    """Passes bytes both ways, one request a connection."""

    def __init__(self, behind: int) -> None:
        self._behind = behind

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await self._carry(reader, writer)
        writer.close()

    async def _carry(self, reader: StreamReader, writer: StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line, *fields = head[:-4].split(b"\r\n")
        is_settings = line.split(b" ")[1].partition(b"?")[0].decode("latin-1") == SETTINGS
        unwanted = {b"connection", b"keep-alive"} | ({b"accept-encoding"} if is_settings else set())
        kept = [field for field in fields if field.partition(b":")[0].lower() not in unwanted]
        behind, before = await asyncio.open_connection(LOOPBACK, self._behind, limit=HEAD_LIMIT)
        try:
            before.write(b"\r\n".join([line, *kept, b"Connection: close", b"", b""]))
            sending = asyncio.create_task(_pass(reader, before))
            try:
                if is_settings:
                    await _complete(behind, writer)
                else:
                    await _pass(behind, writer)
            finally:
                sending.cancel()
        finally:
            before.close()


async def _pass(reader: StreamReader, writer: StreamWriter) -> None:
    while part := await reader.read(CHUNK):
        writer.write(part)
        await writer.drain()


async def _complete(behind: StreamReader, writer: StreamWriter) -> None:
    """The answer about settings, with the codec server to be asked with credentials."""
    head = await behind.readuntil(b"\r\n\r\n")
    line, *fields = head[:-4].split(b"\r\n")
    named = {name.lower(): value.strip() for name, _, value in (field.partition(b":") for field in fields)}
    body = await _body(behind, named)
    with suppress(ValueError, KeyError, TypeError):  # an error, or another shape: passed on as it is
        settings = json.loads(body)
        settings["Codec"]["IncludeCredentials"] = True
        body = json.dumps(settings).encode()
    changed = {b"content-length", b"transfer-encoding", b"connection"}
    kept = [field for field in fields if field.partition(b":")[0].lower() not in changed]
    kept += [b"Content-Length: %d" % len(body), b"Connection: close"]
    writer.write(b"\r\n".join([line, *kept, b"", body]))
    await writer.drain()


async def _body(reader: StreamReader, fields: dict[bytes, bytes]) -> bytes:
    if fields.get(b"transfer-encoding", b"").lower() != b"chunked":
        return await reader.read()
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    return b"".join(parts)


async def serve(port: int, behind: int) -> None:
    server = await asyncio.start_server(Front(behind).serve, LOOPBACK, port, limit=HEAD_LIMIT)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--behind", type=int, required=True)
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(options.port, options.behind))


if __name__ == "__main__":
    main()

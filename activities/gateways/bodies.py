"""Reading a response within bounds, counted before and after decompression."""

import zlib
from collections.abc import AsyncIterable

from domain.definitions.faults import Fault

_PIECE = 65_536


async def read_body(stream: AsyncIterable[bytes], encoding: str | None, limit: int) -> bytes:
    """The decoded body, at most `limit` bytes on the wire and decoded; stops reading once that is passed."""
    inflate = _decoder(encoding)
    body = bytearray()
    received = 0
    async for chunk in stream:
        received += len(chunk)
        if received > limit:
            raise _too_large(limit)
        if inflate is None:
            body += chunk
        else:
            _inflate(inflate, chunk, body, limit)
    if inflate is not None and received:
        if not inflate.eof:
            raise _broken("its compressed body ends too early")
        if inflate.unused_data:
            raise _broken("its compressed body goes on after its end")
    return bytes(body)


def _decoder(encoding: str | None) -> "zlib._Decompress | None":
    name = (encoding or "identity").strip().lower()
    if name in ("identity", ""):
        return None
    if name in ("gzip", "x-gzip"):
        return zlib.decompressobj(16 + zlib.MAX_WBITS)
    if name == "deflate":
        return zlib.decompressobj()
    # Also refuses stacked encodings, the cheapest way to build a bomb.
    raise _broken(f"its Content-Encoding {name[:40]!r} was not asked for (gzip or none)")


def _inflate(inflate: "zlib._Decompress", chunk: bytes, body: bytearray, limit: int) -> None:
    if inflate.eof:
        raise _broken("its compressed body goes on after its end")
    try:
        while chunk and not inflate.eof:
            # What zlib still holds when all input is taken comes with the trailer, a later input.
            body += inflate.decompress(chunk, _PIECE)
            if len(body) > limit:
                raise _too_large(limit)
            chunk = inflate.unconsumed_tail
    except zlib.error:
        raise _broken("its compressed body is damaged") from None


def _too_large(limit: int) -> Fault:
    return Fault(
        "communication", 413, "Response too large", f"the response is larger than the limit of {limit} bytes"
    )


def _broken(reason: str) -> Fault:
    return Fault("communication", 502, "Unreadable response", f"the server answered, but {reason}")

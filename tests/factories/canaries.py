"""Words that must not turn up where they do not belong, and a search that finds them however they are written."""

import base64
import json
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg

CHUNK = 8 * 1024 * 1024


def canary(what: str) -> str:
    """A word nothing else contains; `what` tells in a failure where it was put."""
    return f"canary-{what}-{secrets.token_hex(8)}"


def forms(word: str) -> Iterator[bytes]:
    """The word as it stands, as UTF-16, in hex, and in base64 at each of the three places it can fall."""
    plain = word.encode()
    yield plain
    yield word.encode("utf-16-le")
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in word)
    yield escaped.encode()
    yield json.dumps(word)[1:-1].replace("-", "\\u002d").encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            encoded = encode(b"\0" * before + plain)
            # What shares a group of four letters with its neighbours differs: only the middle is the word's own.
            yield encoded[(before * 8 + 5) // 6 : (before + len(plain)) * 8 // 6]


@dataclass(frozen=True, slots=True)
class Sighting:
    where: str
    word: str
    form: str


class Search:
    """For these words, in every form."""

    def __init__(self, words: Iterable[str]) -> None:
        self._wanted = {form: word for word in words for form in forms(word)}
        self._longest = max(map(len, self._wanted))

    def in_bytes(self, content: bytes, where: str) -> list[Sighting]:
        return [
            Sighting(where, word, form.decode("latin-1"))
            for form, word in self._wanted.items()
            if form in content
        ]

    def in_file(self, path: Path) -> list[Sighting]:
        found: dict[Sighting, None] = {}
        with path.open("rb") as file:
            kept = b""
            while part := file.read(CHUNK):
                for sighting in self.in_bytes(kept + part, str(path)):
                    found[sighting] = None
                kept = part[-self._longest :]
        return list(found)

    def in_folder(self, folder: Path) -> list[Sighting]:
        """Every file below, databases and their journals included."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        assert paths, f"there is nothing to search in {folder}"
        return [sighting for path in paths for sighting in self.in_file(path)]

    async def in_database(self, url: str) -> list[Sighting]:
        """Every column of every table, as a superuser sees them: what a dump would hold."""
        found = []
        async for where, content in _columns(url):
            found += self.in_bytes(content, where)
        return found


async def _columns(url: str) -> AsyncIterator[tuple[str, bytes]]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        tables = await connection.fetch(
            "SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
        )
        for table in tables:
            name = table["name"]
            for row in await connection.fetch(f"SELECT t::text AS row FROM {name} AS t"):
                # bytea is written in hex, where the forms in hex find it.
                yield f"table {name}", row["row"].encode()
    finally:
        await connection.close()

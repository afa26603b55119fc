"""Writing an export: one zip of JSON Lines, sealed in pieces as it grows, so that no disk ever holds it in clear.

All tables are read in one transaction that sees one moment (REPEATABLE READ): what refers to a row finds it. Such a
moment cannot outlive its transaction, so a worker that dies costs the work done so far: the step begins again with a
moment of its own, and overwrites what the lost one left.
"""

import asyncio
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson

from db.exports import Exported, Exports, ExportStatus, Snapshot, folder, piece_key, piece_place
from db.session import Access, Database, Role
from domain.blobs import BlobStore
from domain.errors import Forbidden
from domain.keys import KeyRing

#: Bytes of one piece, before it is sealed.
PIECE: Final = 4 * 1024 * 1024
#: How long an export can be fetched.
KEPT: Final = timedelta(days=7)
#: Objects in one page of the manifest.
FORMAT: Final = "perdure-export/1"


@dataclass(slots=True)
class Pieces:
    """A file without a beginning: what was written leaves in sealed pieces and cannot be seen again."""

    blobs: BlobStore
    keys: KeyRing
    organization_id: UUID
    id: UUID
    count: int = 0
    size: int = 0
    _waiting: bytearray = field(default_factory=bytearray)

    def write(self, content: bytes) -> int:
        self._waiting += content
        return len(content)

    def flush(self) -> None:
        return None

    async def drain(self, *, all: bool = False) -> None:
        """Send away whole pieces, or everything."""
        while len(self._waiting) >= PIECE or (all and self._waiting):
            piece = bytes(self._waiting[:PIECE])
            del self._waiting[:PIECE]
            place = piece_place(self.id, self.count)
            sealed = await self.keys.seal(self.organization_id, piece, place)
            await self.blobs.put(piece_key(self.organization_id, self.id, self.count), sealed)
            self.count += 1
            self.size += len(piece)


@dataclass(frozen=True, slots=True)
class Exporting:
    """The hands of the process in `domain/processes/exports.py`."""

    database: Database
    blobs: BlobStore
    keys: KeyRing
    clock: Callable[[], datetime]

    async def write(self, organization_id: UUID, id: UUID) -> bool:
        """Write everything; False when the export was called off meanwhile, or its asker may not see it any more."""
        worker = Access(Role.WORKER, organization_id)
        async with self.database.transaction(worker) as tx:
            row = await Exports(tx).get(id)
        if row["status"] != ExportStatus.RUNNING:
            return bool(row["status"] == ExportStatus.READY)
        pieces = Pieces(self.blobs, self.keys, organization_id, id)
        try:
            reader = Access(Role.API, organization_id, row["requested_by"])
            async with self.database.snapshot(reader) as tx:
                snapshot = Snapshot(tx, organization_id, self.keys)
                taken_at = await snapshot.moment()
                contents = await self._archive(snapshot, pieces, worker, id, taken_at)
        except Forbidden:
            await self._note(worker, id, status=ExportStatus.FAILED, expires_at=self.clock())
            return False
        await self._forget_beyond(pieces)
        await self._note(
            worker,
            id,
            status=ExportStatus.READY,
            progress=100,
            contents=contents,
            pieces=pieces.count,
            size=pieces.size,
            taken_at=taken_at,
            expires_at=self.clock() + KEPT,
        )
        return True

    async def fail(self, organization_id: UUID, id: UUID) -> None:
        """What it left is swept like what has expired."""
        worker = Access(Role.WORKER, organization_id)
        await self._note(worker, id, status=ExportStatus.FAILED, expires_at=self.clock())

    async def _archive(
        self, snapshot: Snapshot, pieces: Pieces, worker: Access, id: UUID, taken_at: datetime
    ) -> dict[str, int]:
        contents: dict[str, int] = {}
        tables = await snapshot.tables()
        with zipfile.ZipFile(pieces, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]  # write and flush are all it needs
            for number, exported in enumerate(tables):
                pages = snapshot.rows(exported)
                contents[exported.name] = await _lines(archive, exported.name, pages, pieces)
                await self._note(
                    worker, id, progress=100 * (number + 1) // (len(tables) + 2), contents=contents
                )
            manifest = self._objects(pieces.organization_id)
            contents["objects"] = await _lines(archive, "objects", manifest, pieces)
            archive.writestr("manifest.json", _manifest(pieces.organization_id, taken_at, tables, contents))
        await pieces.drain(all=True)
        return contents

    async def _objects(self, organization_id: UUID) -> AsyncIterator[list[dict[str, Any]]]:
        """What lies in the blob store for the organization: names and sizes. Exports do not list exports."""
        prefix, after = f"{organization_id}/", ""
        while found := await self.blobs.under(prefix, after=after):
            after = found[-1].key
            own = f"{prefix}exports/"
            yield [{"key": each.key, "size": each.size} for each in found if not each.key.startswith(own)]

    async def _forget_beyond(self, pieces: Pieces) -> None:
        """Pieces of an attempt that died after it had written more."""
        last = piece_key(pieces.organization_id, pieces.id, pieces.count - 1)
        while found := await self.blobs.under(folder(pieces.organization_id, pieces.id), after=last):
            for each in found:
                await self.blobs.delete(each.key)

    async def _note(self, worker: Access, id: UUID, **values: Any) -> None:
        async with self.database.transaction(worker) as tx:
            await Exports(tx).note(id, **values)


async def _lines(
    archive: zipfile.ZipFile, name: str, pages: AsyncIterator[list[dict[str, Any]]], pieces: Pieces
) -> int:
    """One file of JSON Lines; compressing is done on a thread, page by page."""
    count = 0
    with archive.open(f"{name}.jsonl", "w", force_zip64=True) as file:
        async for page in pages:
            lines = b"".join(orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE) for row in page)
            await asyncio.to_thread(file.write, lines)
            await pieces.drain()
            count += len(page)
    return count


def _manifest(
    organization_id: UUID, taken_at: datetime, tables: list[Exported], contents: dict[str, int]
) -> bytes:
    listed = {each.name: {"rows": contents[each.name], "columns": list(each.columns)} for each in tables}
    about = {
        "format": FORMAT,
        "organization_id": organization_id,
        "taken_at": taken_at,
        "tables": listed,
        "objects": contents["objects"],
    }
    return orjson.dumps(about, default=str, option=orjson.OPT_INDENT_2)

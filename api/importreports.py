"""What became of the rows that an import refused: page by page, or as a file for a spreadsheet."""

from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from api.auth import Caller, require
from api.collaborators import Collaborators, Parts
from db.sealed import place
from db.transfers import Direction, Transfers
from domain.csvfiles import write
from domain.imports import TransferKind
from domain.permissions import Permission

Importer = Annotated[Caller, Depends(require(Permission.CLIENTS_IMPORT))]
#: Reports are read some parts at a time; each has at most as many rows as a part.
_REPORTS = 20
_REPORTED = ("line", "column", "field", "value", "message", "mend", "code")


class RowErrorView(BaseModel):
    """`line` and `column` count from 1; a confidential value is not repeated."""

    line: int
    column: int | None
    field: str | None
    value: str | None
    message: str
    mend: str
    code: str


class RowErrorPage(BaseModel):
    items: list[RowErrorView]
    next_cursor: str | None


def reporting(kind: TransferKind) -> APIRouter:
    """The routes of one kind; the same code serves both."""
    router = APIRouter(prefix=f"/v1/{kind.value}/imports", tags=[kind.value])
    name = f"{kind.value}_imports"

    @router.get("/{id}/errors", operation_id=f"{name}_errors", response_model=RowErrorPage)
    async def list_errors(
        caller: Importer,
        parts: Parts,
        id: UUID,
        limit: Annotated[int, Query(ge=1, le=500, description="How many items at most.")] = 100,
        cursor: Annotated[
            str | None,
            Query(pattern=r"^\d{1,6}-\d{1,6}$", description="`next_cursor` of the page before."),
        ] = None,
    ) -> Any:
        """The rows that were refused, in the order of the file: where, what, and how to mend it."""
        number, skipped = (int(part) for part in (cursor or "0-0").split("-"))
        items: list[dict[str, Any]] = []
        async with parts.database.transaction(caller.access) as tx:
            await Transfers(tx).get(id, Direction.IMPORT, kind.value)
            rows = await Transfers(tx).reports(id, after=number - 1, limit=_REPORTS)
        for row in rows:
            found = (await _opened(parts, caller.organization, row))[
                skipped if row["number"] == number else 0 :
            ]
            taken = found[: limit - len(items)]
            items += taken
            if len(items) == limit or row is rows[-1]:
                start = (skipped if row["number"] == number else 0) + len(taken)
                more = len(taken) < len(found) or len(rows) == _REPORTS or row is not rows[-1]
                return {"items": items, "next_cursor": f"{row['number']}-{start}" if more else None}
        return {"items": items, "next_cursor": None}

    @router.get(
        "/{id}/errors.csv",
        operation_id=f"{name}_errors_csv",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "The report."}
        },
    )
    async def download_errors(caller: Importer, parts: Parts, id: UUID) -> Response:
        """The same as a CSV file, safe to be opened in a spreadsheet."""
        async with parts.database.transaction(caller.access) as tx:
            await Transfers(tx).get(id, Direction.IMPORT, kind.value)

        async def lines() -> AsyncIterator[str]:
            yield "\ufeff" + write([_REPORTED])
            after = -1
            while True:
                async with parts.database.transaction(caller.access) as tx:
                    rows = await Transfers(tx).reports(id, after=after, limit=_REPORTS)
                for row in rows:
                    problems = await _opened(parts, caller.organization, row)
                    yield write([["" if p[n] is None else str(p[n]) for n in _REPORTED] for p in problems])
                    after = row["number"]
                if len(rows) < _REPORTS:
                    return

        return download(lines(), f"{kind.value}-import-errors.csv")

    return router


def download(lines: AsyncIterator[str | bytes], name: str) -> Response:
    """A CSV file that browsers save and never show."""
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


async def _opened(parts: Collaborators, organization_id: UUID, row: Any) -> list[dict[str, Any]]:
    where = place("transfer_parts", "report", row["id"])
    found: list[dict[str, Any]] = orjson.loads(await parts.keys.open(organization_id, row["report"], where))
    return found


CLIENTS = reporting(TransferKind.CLIENTS)
CONTACTS = reporting(TransferKind.CONTACTS)

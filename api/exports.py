"""Taking one's data along: an export of the organization, written by a process, fetched by whoever may."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller
from api.collaborators import Collaborators, Parts
from api.idempotency import Answer, Idempotent
from api.inside import confirmed_inside, inside
from api.mailing import send
from api.noting import noted
from api.pagination import Paging
from db.activity import Activities
from db.exports import Exports, ExportStatus, folder, piece_key, piece_place
from db.outbox import OutboxEntry
from domain.blobs import BlobMissing, NoBlobs
from domain.errors import Conflict
from domain.permissions import Permission
from domain.processes.exports import EXPORT

router = APIRouter(tags=["exports"])
PATH = "/v1/organizations/{organization_id}/exports"
Reader = Annotated[Caller, Depends(inside(Permission.ORGANIZATION_EXPORT))]
Exporter = Annotated[Caller, Depends(confirmed_inside(Permission.ORGANIZATION_EXPORT))]


class NoStorage(Conflict):
    """This platform stores no large contents, so no export can be written; its operator sets PERDURE_S3_BUCKET."""

    code = "no_storage"


class NotReady(Conflict):
    """This export cannot be fetched."""

    code = "export_not_ready"


class ExportView(BaseModel):
    id: UUID
    status: ExportStatus
    progress: int = Field(description="Percent.", ge=0, le=100)
    contents: dict[str, int] = Field(description="Rows by table, and the number of stored objects listed.")
    size: int = Field(description="Bytes of the zip.")
    requested_by: UUID
    execution_id: UUID | None
    taken_at: datetime | None = Field(description="The moment of which all of it speaks.")
    expires_at: datetime | None = Field(description="It can be fetched until then.")
    created_at: datetime


class ExportPage(BaseModel):
    items: list[ExportView]
    next_cursor: str | None


@router.post(PATH, operation_id="exports_start", status_code=202, response_model=ExportView)
async def start_export(caller: Exporter, parts: Parts, once: Idempotent) -> Response:
    """Write everything you may read into one zip of JSON Lines, with a list of the stored objects.

    Secrets are not in it. All of it speaks of one moment, `taken_at`.
    """
    if isinstance(parts.blobs, NoBlobs):
        raise NoStorage
    id = uuid4()

    async def start(tx: AsyncConnection) -> Answer[OutboxEntry]:
        values = {"id": id, "organization_id": caller.organization, "requested_by": caller.user_id}
        exports = Exports(tx)
        await exports.add(values)
        begun = await parts.processes.start(
            tx, EXPORT, caller.organization, input={"export_id": str(id)}, started_by=caller.user_id
        )
        await exports.note(id, execution_id=begun.execution_id)
        await Activities(tx).note([noted(caller, "export.started", "exports", id)])
        return Answer(202, _shown(await exports.get(id)), carry=begun.entry)

    answer = await once.run(caller, start)
    await send(parts, answer.carry)
    return answer.response()


@router.get(PATH, operation_id="exports_list", response_model=ExportPage)
async def list_exports(caller: Reader, parts: Parts, paging: Paging) -> Any:
    """Newest first."""
    async with parts.database.transaction(caller.access) as tx:
        rows = await Exports(tx).page(paging.before, paging.fetch)
    return paging.page(rows, lambda row: (row["created_at"], row["id"]), _shown)


@router.get(PATH + "/{id}", operation_id="exports_get", response_model=ExportView)
async def get_export(caller: Reader, parts: Parts, id: UUID) -> Any:
    """How far it is."""
    async with parts.database.transaction(caller.access) as tx:
        return _shown(await Exports(tx).get(id))


@router.get(
    PATH + "/{id}/content",
    operation_id="exports_content",
    response_class=Response,
    responses={200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def fetch_export(caller: Exporter, parts: Parts, id: UUID) -> Response:
    """The zip. It is opened as it is sent and lies nowhere in clear."""
    async with parts.database.transaction(caller.access) as tx:
        row = await Exports(tx).get(id)
        expires_at = row["expires_at"]
        if row["status"] != ExportStatus.READY or expires_at is None or expires_at <= parts.clock():
            raise NotReady(_why(row))
        await Activities(tx).note([noted(caller, "export.fetched", "exports", id)])
    try:
        first = await _piece(parts, row, 0)
    except BlobMissing:
        raise NotReady("The content of this export is gone; start another one.") from None
    name = f"perdure-{row['taken_at']:%Y-%m-%d}.zip"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Length": str(row["size"]),
        "Cache-Control": "no-store",
    }
    return StreamingResponse(_content(parts, row, first), media_type="application/zip", headers=headers)


@router.delete(PATH + "/{id}", operation_id="exports_remove", status_code=204)
async def remove_export(caller: Exporter, parts: Parts, id: UUID) -> Response:
    """Delete its content before it expires."""
    async with parts.database.transaction(caller.access) as tx:
        row = await Exports(tx).get(id)
        if row["status"] == ExportStatus.RUNNING:
            raise NotReady("It is being written; cancel its execution first.")
    while found := await parts.blobs.under(folder(caller.organization, id)):
        for blob in found:
            await parts.blobs.delete(blob.key)
    async with parts.database.transaction(caller.access) as tx:
        await Exports(tx).expire(id)
        await Activities(tx).note([noted(caller, "export.removed", "exports", id)])
    return Response(status_code=204)


async def _content(parts: Collaborators, row: RowMapping, first: bytes) -> AsyncIterator[bytes]:
    """A piece that cannot be had breaks the transfer off: its length tells whoever fetches it."""
    yield first
    for number in range(1, row["pieces"]):
        yield await _piece(parts, row, number)


async def _piece(parts: Collaborators, row: RowMapping, number: int) -> bytes:
    organization_id, id = row["organization_id"], row["id"]
    sealed = await parts.blobs.get(piece_key(organization_id, id, number))
    return await parts.keys.open(organization_id, sealed, piece_place(id, number))


def _why(row: RowMapping) -> str:
    match row["status"]:
        case ExportStatus.RUNNING:
            return f"This export is being written, {row['progress']} % are done; fetch it when it is ready."
        case ExportStatus.FAILED:
            return "This export failed; start another one."
    return "This export has expired; start another one."


def _shown(row: RowMapping) -> dict[str, Any]:
    return ExportView(**{name: row[name] for name in ExportView.model_fields}).model_dump(mode="json")

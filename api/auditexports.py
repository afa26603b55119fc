"""Exports of the activity log as CSV or JSON Lines: written durably, part after part, and kept for a week."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncConnection

from api.audit import checked, reading
from api.auth import Caller
from api.collaborators import Parts
from api.fields import Body, Moment
from api.idempotency import Answer, Idempotent
from api.inside import inside
from db.activity import Activities, ActivityFilters
from db.auditexports import AuditExports, ExportFormat
from db.outbox import OutboxEntry
from domain.activities import Act
from domain.errors import Conflict
from domain.executions import ExecutionStatus
from domain.permissions import Permission
from domain.processes.audit import AUDIT_EXPORT, parts_of
from domain.tenants import ActorType

router = APIRouter(prefix="/v1/organizations/{organization_id}/audit-log/exports", tags=["audit"])
Auditor = Annotated[Caller, Depends(inside(Permission.AUDIT_READ))]
Word = Annotated[str, StringConstraints(min_length=1, max_length=100)]
_MEDIA_TYPES = {ExportFormat.CSV: "text/csv; charset=utf-8", ExportFormat.JSONL: "application/jsonl"}


class AuditExportNotReady(Conflict):
    """The file is not complete yet; the export's `status` says how far it is."""

    code = "export_not_ready"


class NewAuditExport(Body):
    """The filters of the list; what is left out does not filter."""

    format: ExportFormat = ExportFormat.CSV
    actor: ActorType | None = None
    user_id: UUID | None = None
    resource: Word | None = None
    resource_id: Word | None = None
    action: Word | None = None
    since: Moment | None = Field(None, alias="from", description="At or after.")
    until: Moment | None = Field(None, alias="to", description="Before; now, if it is left out.")


class AuditExportLinks(BaseModel):
    self: str
    execution: str | None
    #: Once it is complete.
    file: str | None


class AuditExportView(BaseModel):
    id: UUID
    format: ExportFormat
    status: ExecutionStatus
    progress: int
    filters: dict[str, str]
    total: int = Field(description="Lines there were when it was asked for.")
    written: int
    execution_id: UUID | None
    created_by: UUID
    created_at: datetime
    completed_at: datetime | None
    links: AuditExportLinks


@router.post("", operation_id="audit_export_start", status_code=202, response_model=AuditExportView)
async def start_export(
    caller: Auditor, parts: Parts, once: Idempotent, body: NewAuditExport | None = None
) -> Response:
    """All lines that fit and were written before now, oldest first."""
    asked = body or NewAuditExport()
    now = parts.clock()
    given = {name: getattr(asked, name) for name in ActivityFilters.__slots__}
    filters = checked(ActivityFilters(**{**given, "until": min(asked.until or now, now)}), "#/")
    id = uuid4()

    async def start(tx: AsyncConnection) -> Answer[OutboxEntry]:
        total = await Activities(tx).count(filters)
        count, lines = parts_of(total)
        begun = await parts.processes.start(
            tx,
            AUDIT_EXPORT,
            caller.organization,
            input={"export": str(id), "parts": count, "lines": lines},
            started_by=caller.user_id,
        )
        exports = AuditExports(tx)
        await exports.add(
            {
                "id": id,
                "organization_id": caller.organization,
                "format": asked.format.value,
                "filters": filters.as_json(),
                "until": filters.until,
                "total": total,
                "execution_id": begun.execution_id,
                "created_by": caller.user_id,
            }
        )
        about = {"format": asked.format.value, "asked": filters.as_json(), "lines": total}
        await Activities(tx).note([reading(caller, Act.AUDIT_EXPORTED, id, **about)])
        return Answer(202, show(await exports.get(id)), carry=begun.entry)

    answer = await once.run(caller, start)
    if answer.carry is not None:
        await parts.dispatcher.dispatch(answer.carry)
    response = answer.response()
    response.headers["Location"] = answer.body["links"]["self"]
    return response


@router.get("/{id}", operation_id="audit_export_get", response_model=AuditExportView)
async def get_export(caller: Auditor, parts: Parts, id: UUID) -> Any:
    """How far it is; `links.file` once it is complete."""
    async with parts.database.transaction(caller.access) as tx:
        return show(await AuditExports(tx).get(id))


@router.get(
    "/{id}/file",
    operation_id="audit_export_file",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {
                name.partition(";")[0]: {"schema": {"type": "string"}} for name in _MEDIA_TYPES.values()
            },
            "description": "The file.",
        }
    },
)
async def download_export(caller: Auditor, parts: Parts, id: UUID) -> Response:
    """The file, as the export's format says; downloading it is noted."""
    async with parts.database.transaction(caller.access) as tx:
        export = await AuditExports(tx).get(id)
        if export["completed_at"] is None:
            raise AuditExportNotReady
        about = {"format": export["format"], "lines": export["written"]}
        await Activities(tx).note([reading(caller, Act.AUDIT_DOWNLOADED, id, **about)])

    async def pieces() -> AsyncIterator[str]:
        after = 0
        while True:  # one part in memory at a time
            async with parts.database.transaction(caller.access) as tx:
                found = await AuditExports(tx).contents(id, after=after, limit=1)
            if not found:
                return
            yield found[0]["content"]
            after = found[0]["number"]

    headers = {
        "Content-Disposition": f'attachment; filename="audit-log.{export["format"]}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return StreamingResponse(
        pieces(), media_type=_MEDIA_TYPES[ExportFormat(export["format"])], headers=headers
    )


def show(row: Mapping[Any, Any]) -> dict[str, Any]:
    """From a row of `db.auditexports.AuditExports`."""
    is_complete = row["completed_at"] is not None
    # What is forgotten had ended.
    status = (
        ExecutionStatus.COMPLETED if is_complete else row["execution_status"] or ExecutionStatus.TERMINATED
    )
    path = f"/v1/organizations/{row['organization_id']}/audit-log/exports/{row['id']}"
    names = (
        "id",
        "format",
        "filters",
        "total",
        "written",
        "execution_id",
        "created_by",
        "created_at",
        "completed_at",
    )
    view = AuditExportView(
        **{name: row[name] for name in names},
        status=status,
        progress=100 if is_complete else min(99, 100 * row["written"] // max(1, row["total"])),
        links=AuditExportLinks(
            self=path,
            execution=None if row["execution_id"] is None else f"/v1/executions/{row['execution_id']}",
            file=f"{path}/file" if is_complete else None,
        ),
    )
    return view.model_dump(mode="json")

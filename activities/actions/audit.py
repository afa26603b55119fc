"""The steps of an export of the activity log; each part is written in the segment's transaction, once."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Any
from uuid import UUID

import orjson
from pydantic import Field
from sqlalchemy import RowMapping

from activities.actions.context import ActionContext
from activities.actions.declaration import Arguments, Result, action
from db.activity import Activities, ActivityFilters
from db.auditexports import AuditExports, ExportFormat
from domain.actions import Effect, Lane
from domain.csvfiles import write
from domain.definitions.faults import Fault
from domain.errors import NotFound
from domain.processes.audit import COLUMNS

_TIMEOUT = timedelta(seconds=30)


class Part(Arguments):
    export: UUID
    number: int = Field(ge=0)
    lines: int = Field(gt=0)


class Whole(Arguments):
    export: UUID


class Written(Result):
    lines: int


@action(
    "audit.export_part",
    version="1.0.0",
    title="Export some lines of the activity log",
    effect=Effect.IDEMPOTENT,
    lane=Lane.SEGMENT,
    timeout=_TIMEOUT,
    is_internal=True,
)
async def export_part(context: ActionContext, arguments: Part) -> Written:
    """Write the lines that follow those of the part before; a part that stands already stays as it is."""
    exports = AuditExports(context.transaction)
    export = await _export(exports, arguments.export)
    if export["parts"] > arguments.number:
        return Written(lines=0)
    last = None if export["last_id"] is None else (export["last_at"], export["last_id"])
    filters = ActivityFilters.from_json(export["filters"])
    rows = await Activities(context.transaction).after(filters, last, arguments.lines)
    form = ExportFormat(export["format"])
    content = await asyncio.to_thread(written, form, rows, begins=export["parts"] == 0)
    place = (rows[-1]["created_at"], rows[-1]["id"]) if rows else last
    await exports.add_part(export, content, len(rows), place)
    return Written(lines=len(rows))


@action(
    "audit.finish_export",
    version="1.0.0",
    title="Finish an export of the activity log",
    effect=Effect.IDEMPOTENT,
    lane=Lane.SEGMENT,
    timeout=_TIMEOUT,
    is_internal=True,
)
async def finish_export(context: ActionContext, arguments: Whole) -> Written:
    """Note that all is written, and how much that is: the outcome of the process."""
    exports = AuditExports(context.transaction)
    export = await _export(exports, arguments.export)
    if export["completed_at"] is None:
        await exports.complete(arguments.export, context.now)
    return Written(lines=export["written"])


async def _export(exports: AuditExports, id: UUID) -> RowMapping:
    try:
        return await exports.locked(id)
    except NotFound:
        raise Fault("runtime", 404, "Export gone", "This export was forgotten; ask for it anew.") from None


def written(form: ExportFormat, rows: Sequence[RowMapping], *, begins: bool) -> str:
    """Lines of the log as CSV, with a header where the file begins, or as JSON Lines."""
    lines = [_line(row) for row in rows]
    if form is ExportFormat.JSONL:
        return b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines).decode()
    # The mark lets spreadsheets read UTF-8 as what it is.
    header = "\ufeff" + write([COLUMNS]) if begins else ""
    return header + write([[_cell(line[name]) for name in COLUMNS] for line in lines])


def _line(row: RowMapping) -> dict[str, Any]:
    told = {name: row["actor_type" if name == "actor" else name] for name in COLUMNS}
    for name in ("id", "user_id"):
        told[name] = None if told[name] is None else str(told[name])
    told["created_at"] = row["created_at"].astimezone(UTC).isoformat().replace("+00:00", "Z")
    return told


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return orjson.dumps(value).decode() if isinstance(value, dict) else str(value)

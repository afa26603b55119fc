"""What an import or export of clients and contacts looks like from outside: how far it is, and what became of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from domain.csvfiles import name_of
from domain.executions import ExecutionStatus
from domain.imports import ImportMode, MatchBy, TransferKind


class TransferLinks(BaseModel):
    self: str
    execution: str | None
    #: Of an import: the rows that were refused.
    errors: str | None = None
    errors_csv: str | None = None
    #: Of an export that is complete.
    file: str | None = None


class ImportView(BaseModel):
    id: UUID
    kind: TransferKind
    status: ExecutionStatus
    message: str = Field(description="What happens or happened, in a sentence.")
    progress: int = Field(description="Rows that are done, in percent.")
    mode: ImportMode
    match_by: MatchBy
    dry_run: bool
    filename: str | None
    encoding: str
    delimiter: str
    columns: dict[str, str] = Field(description="Header of the file → the field it was read as.")
    ignored_columns: list[str]
    total: int
    processed: int
    created: int
    updated: int
    unchanged: int
    failed: int = Field(description="Rows that were refused; `links.errors` says why.")
    execution_id: UUID | None
    created_by: UUID | None
    created_at: datetime
    completed_at: datetime | None
    links: TransferLinks


class ImportPage(BaseModel):
    items: list[ImportView]
    next_cursor: str | None


class ExportView(BaseModel):
    id: UUID
    kind: TransferKind
    status: ExecutionStatus
    message: str
    progress: int
    filters: dict[str, Any]
    delimiter: str
    tax_ids: bool
    total: int
    processed: int
    execution_id: UUID | None
    created_by: UUID | None
    created_at: datetime
    completed_at: datetime | None
    links: TransferLinks


class ExportPage(BaseModel):
    items: list[ExportView]
    next_cursor: str | None


def show_import(row: Mapping[Any, Any]) -> dict[str, Any]:
    """From a row of `db.transfers.Transfers`."""
    status, settings = _status(row), row["settings"]
    path = f"/v1/{row['kind']}/imports/{row['id']}"
    view = ImportView(
        **_shared(row, status),
        message=_of_import(row, status),
        mode=row["mode"],
        match_by=row["match_by"],
        dry_run=row["dry_run"],
        filename=row["filename"],
        encoding=settings["encoding"],
        delimiter=name_of(settings["delimiter"]),
        columns=settings["read_as"],
        ignored_columns=settings["passed_over"],
        created=row["created"],
        updated=row["updated"],
        unchanged=row["unchanged"],
        failed=row["failed"],
        links=TransferLinks(
            self=path,
            execution=_execution(row),
            errors=f"{path}/errors",
            errors_csv=f"{path}/errors.csv",
        ),
    )
    return view.model_dump(mode="json")


def show_export(row: Mapping[Any, Any]) -> dict[str, Any]:
    status, settings = _status(row), row["settings"]
    path = f"/v1/{row['kind']}/exports/{row['id']}"
    there = is_downloadable(row)
    view = ExportView(
        **_shared(row, status),
        message=_of_export(row, status),
        filters=settings["filters"],
        delimiter=name_of(settings["delimiter"]),
        tax_ids=settings["tax_ids"],
        links=TransferLinks(self=path, execution=_execution(row), file=f"{path}/file" if there else None),
    )
    return view.model_dump(mode="json")


def is_downloadable(row: Mapping[Any, Any]) -> bool:
    return row["completed_at"] is not None and bool(row["has_parts"])


def _shared(row: Mapping[Any, Any], status: ExecutionStatus) -> dict[str, Any]:
    total, done = row["total"], row["rows"]
    progress = 100 if status is ExecutionStatus.COMPLETED else min(99, 100 * done // total if total else 0)
    names = ("id", "kind", "total", "execution_id", "created_by", "created_at", "completed_at")
    return {name: row[name] for name in names} | {"status": status, "processed": done, "progress": progress}


def _execution(row: Mapping[Any, Any]) -> str | None:
    return None if row["execution_id"] is None else f"/v1/executions/{row['execution_id']}"


def _status(row: Mapping[Any, Any]) -> ExecutionStatus:
    """That of the execution; what is forgotten had ended."""
    if row["completed_at"] is not None:
        return ExecutionStatus.COMPLETED
    return ExecutionStatus(row["execution_status"] or ExecutionStatus.TERMINATED)


def _of_import(row: Mapping[Any, Any], status: ExecutionStatus) -> str:
    done, total, failed = row["rows"], row["total"], row["failed"]
    what = (
        f"{row['created']} created, {row['updated']} changed, {row['unchanged']} left as they were, "
        f"{failed} refused"
    )
    trial = "Nothing was written, because this is a dry run: it would have been " if row["dry_run"] else ""
    if status is ExecutionStatus.COMPLETED:
        return f"{trial}{what}."
    if not status.is_terminal:
        stopping = " It is being cancelled." if row["cancel_requested_at"] else ""
        return f"{done} of {total} rows are done.{stopping}"
    how = "It was cancelled" if status is ExecutionStatus.CANCELLED else f"It ended as {status.value}"
    stays = "nothing was written" if row["dry_run"] else f"what was imported stays: {what}"
    return f"{how} after {done} of {total} rows; {stays}. The other {total - done} rows were not touched."


def _of_export(row: Mapping[Any, Any], status: ExecutionStatus) -> str:
    done, total = row["rows"], row["total"]
    if status is ExecutionStatus.COMPLETED:
        if not row["has_parts"]:
            return "The file was forgotten after a week; export anew."
        return f"{done} rows are ready to be downloaded for a week."
    if not status.is_terminal:
        return f"{done} of {total} rows are written."
    how = "was cancelled" if status is ExecutionStatus.CANCELLED else f"ended as {status.value}"
    return f"It {how} after {done} of {total} rows; there is no file. Start another export."

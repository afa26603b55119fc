"""Imports of clients and contacts from CSV files: accepted at once, carried out durably, reported row by row."""

import asyncio
import json
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID, uuid4

import orjson
from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, require
from api.collaborators import Collaborators, Parts
from api.idempotency import Answer, Idempotent
from api.pagination import Paging
from api.transferviews import ImportPage, ImportView, show_import
from api.uploads import DOCUMENTED, Upload, uploaded
from db.control import ExecutionClosed
from db.executions import CancelResult, Executions, cancellation
from db.outbox import Outbox, OutboxEntry
from db.sealed import place
from db.transfers import Direction, Transfers
from domain.errors import Invalid, Problem
from domain.imports import ImportMode, MatchBy, TransferKind
from domain.permissions import Permission
from domain.processes.clients import CLIENT_IMPORT
from domain.staging import Asked, Staged, delimiter_named, stage

Importer = Annotated[Caller, Depends(require(Permission.CLIENTS_IMPORT))]
File = Annotated[Upload, Depends(uploaded)]


@dataclass(frozen=True, slots=True)
class Options:
    """How the file is to be read and what is to be done with its rows."""

    mode: ImportMode
    match_by: MatchBy | None
    dry_run: bool
    delimiter: str | None
    mapping: dict[str, str | None] | None
    ignore_unknown: bool

    def asked(self, kind: TransferKind) -> Asked:
        match_by = self.matching(kind) if self.mode is ImportMode.UPSERT else None
        return Asked(kind, match_by, self.delimiter, self.mapping, self.ignore_unknown)

    def matching(self, kind: TransferKind) -> MatchBy:
        """Contacts have no numbers: theirs are matched by e-mail address, at the same client."""
        if kind is TransferKind.CONTACTS:
            return MatchBy.EMAIL
        return self.match_by or MatchBy.CLIENT_NUMBER


async def options_of(
    mode: Annotated[
        ImportMode, Query(description="`upsert` changes the row that matches, `create` never changes one.")
    ] = ImportMode.CREATE,
    match_by: Annotated[
        MatchBy | None, Query(description="For `upsert`: by what; clients by client_number if absent.")
    ] = None,
    dry_run: Annotated[
        bool, Query(description="Everything is tried and reported, nothing is written.")
    ] = False,
    delimiter: Annotated[
        str | None,
        Query(min_length=1, max_length=20, description="comma, semicolon, tab or bar; found out if absent."),
    ] = None,
    mapping: Annotated[
        str | None,
        Query(
            max_length=8_000,
            description='JSON: header → field, for headers we do not know; null passes one over. {"Firma": '
            '"company_name"}',
        ),
    ] = None,
    unknown_columns: Annotated[
        str, Query(pattern="^(refuse|ignore)$", description="`ignore` passes over columns we do not know.")
    ] = "refuse",
) -> Options:
    return Options(
        mode,
        match_by,
        dry_run,
        None if delimiter is None else delimiter_named(delimiter),
        None if mapping is None else _mapping(mapping),
        unknown_columns == "ignore",
    )


def _mapping(text: str) -> dict[str, str | None]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(
        value is None or isinstance(value, str) for value in found.values()
    ):
        raise Invalid(
            problems=[
                Problem(
                    "query/mapping",
                    "The mapping is no JSON object of texts.",
                    'Send it like {"Firma": "company_name", "Fax": null}.',
                )
            ]
        )
    return found


def importing(kind: TransferKind) -> APIRouter:
    """The routes of one kind; the same code serves both."""
    router = APIRouter(prefix=f"/v1/{kind.value}/imports", tags=[kind.value])
    name = f"{kind.value}_imports"

    @router.post(
        "",
        operation_id=f"{name}_start",
        status_code=202,
        response_model=ImportView,
        openapi_extra=DOCUMENTED,
    )
    async def start_import(
        caller: Importer,
        parts: Parts,
        once: Idempotent,
        options: Annotated[Options, Depends(options_of)],
        file: File,
    ) -> Response:
        """Takes a CSV file of at most 10 MB and 100 000 rows: UTF-8, UTF-16 or Windows-1252, any usual delimiter.

        A file that cannot be read is refused as a whole (422, with line and column). Rows that are refused later are
        reported one by one, and do not keep the others back.
        """
        staged = await asyncio.to_thread(stage, file.content, options.asked(kind))
        id = uuid4()
        sealed = await _sealed(parts, caller.organization, staged)

        async def start(tx: AsyncConnection) -> Answer[OutboxEntry]:
            begun = await parts.processes.start(
                tx,
                CLIENT_IMPORT,
                caller.organization,
                input={"transfer": str(id), "parts": len(sealed)},
                started_by=caller.user_id,
            )
            transfers = Transfers(tx)
            await transfers.add(
                {
                    "id": id,
                    "organization_id": caller.organization,
                    "direction": Direction.IMPORT.value,
                    "kind": kind.value,
                    "mode": options.mode.value,
                    "match_by": options.matching(kind).value,
                    "dry_run": options.dry_run,
                    "filename": file.filename,
                    "settings": staged.settings,
                    "total": staged.total,
                    "execution_id": begun.execution_id,
                    "created_by": caller.user_id,
                }
            )
            await transfers.add_parts([{**part, "transfer_id": id} for part in sealed])
            row = await transfers.get(id, Direction.IMPORT, kind.value)
            return Answer(202, show_import(row), carry=begun.entry)

        answer = await once.run(caller, start)
        if answer.carry is not None:
            await parts.dispatcher.dispatch(answer.carry)
        response = answer.response()
        response.headers["Location"] = answer.body["links"]["self"]
        return response

    @router.get("", operation_id=f"{name}_list", response_model=ImportPage)
    async def list_imports(caller: Importer, parts: Parts, paging: Paging) -> Any:
        """Newest first."""
        async with parts.database.transaction(caller.access) as tx:
            rows = await Transfers(tx).page(Direction.IMPORT, kind.value, paging.before, paging.fetch)
        return paging.page(rows, lambda row: (row["created_at"], row["id"]), show_import)

    @router.get("/{id}", operation_id=f"{name}_get", response_model=ImportView)
    async def get_import(caller: Importer, parts: Parts, id: UUID) -> Any:
        """How far it is, and what became of its rows."""
        async with parts.database.transaction(caller.access) as tx:
            return show_import(await Transfers(tx).get(id, Direction.IMPORT, kind.value))

    @router.post("/{id}/cancel", operation_id=f"{name}_cancel", status_code=202, response_model=ImportView)
    async def cancel_import(caller: Importer, parts: Parts, once: Idempotent, id: UUID) -> Response:
        """Stops before the next rows. What was imported stays, and `message` says how much that is."""

        async def cancel(tx: AsyncConnection) -> Answer[OutboxEntry]:
            row = await Transfers(tx).get(id, Direction.IMPORT, kind.value)
            entry = await cancelled(tx, row["execution_id"])
            return Answer(
                202, show_import(await Transfers(tx).get(id, Direction.IMPORT, kind.value)), carry=entry
            )

        answer = await once.run(caller, cancel)
        if answer.carry is not None:
            await parts.dispatcher.dispatch(answer.carry)
        return answer.response()

    return router


async def cancelled(tx: AsyncConnection, execution_id: UUID | None) -> OutboxEntry | None:
    """Ask the execution to end; the word to the engine, if one is needed. Raises ExecutionClosed."""
    if execution_id is None:
        raise ExecutionClosed("It has ended; there is nothing left to cancel.")
    result, row = await Executions(tx).request_cancel(execution_id)
    if result is CancelResult.TERMINAL and row["cancel_requested_at"] is None:
        raise ExecutionClosed(f"It is {row['status']}; there is nothing left to cancel.")
    if result not in (CancelResult.REQUESTED, CancelResult.TERMINATE):
        return None
    entry = cancellation(row, "", result)
    await Outbox(tx).add(entry)
    return entry


async def _sealed(parts: Collaborators, organization_id: UUID, staged: Staged) -> list[dict[str, Any]]:
    rows = []
    for number, content in enumerate(staged.parts):
        id = uuid4()
        sealed = await parts.keys.seal(
            organization_id, orjson.dumps(content), place("transfer_parts", "content", id)
        )
        rows.append(
            {
                "id": id,
                "organization_id": organization_id,
                "number": number,
                "rows": len(content),
                "content": sealed,
            }
        )
        await asyncio.sleep(0)  # others are served meanwhile
    return rows


CLIENTS = importing(TransferKind.CLIENTS)
CONTACTS = importing(TransferKind.CONTACTS)

"""The steps of an import or export of clients and contacts; each part is worked on in the segment's transaction.

A part that is finished stays as it is, however often its step is repeated.
"""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from pydantic import Field
from sqlalchemy import RowMapping

from activities.actions.context import ActionContext
from activities.actions.declaration import Arguments, Result, action
from db.activity import Activities, Activity
from db.clientevents import ClientEvents
from db.exporting import Export
from db.imports import Imported, Importing, ImportRow
from db.sealed import place
from db.taxids import TaxIds
from db.transfers import Direction, Transfers
from domain.actions import Effect, Lane
from domain.definitions.faults import Fault
from domain.errors import NotFound
from domain.importrows import RowProblem, read_row
from domain.imports import ImportMode, MatchBy, TransferKind
from domain.keys import Unreadable
from domain.tenants import ActorType

_TIMEOUT = timedelta(seconds=30)


class Part(Arguments):
    transfer: UUID
    number: int = Field(ge=0)


class Whole(Arguments):
    transfer: UUID


class Done(Result):
    """What became of the rows."""

    rows: int
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0


@action(
    "transfer.import_part",
    version="1.0.0",
    title="Import some rows",
    effect=Effect.IDEMPOTENT,
    lane=Lane.SEGMENT,
    timeout=_TIMEOUT,
    is_internal=True,
)
async def import_part(context: ActionContext, arguments: Part) -> Done:
    """Write the rows of one part, report those that were refused, and tell of every client."""
    transfers = Transfers(context.transaction)
    part, transfer = await _found(transfers, arguments)
    if part["finished_at"] is None:
        rows, problems = await _rows(context, transfer, part)
        done = await _imported(context, transfer, rows)
        problems = sorted([*problems, *done.problems], key=lambda each: (each.line, each.column or 0))
        if transfer["dry_run"]:
            done.happened.clear()
        events = ClientEvents(context.services.keys, context.organization_id, context.now)
        await events.record(context.transaction, done.happened)
        await transfers.finish_part(
            part["id"],
            content=None,
            report=await _report(context, part["id"], problems),
            created=done.created,
            updated=done.updated,
            unchanged=done.unchanged,
            failed=len({problem.line for problem in problems}),
        )
        part, _ = await _found(transfers, arguments)
    return Done(**{name: part[name] for name in Done.model_fields})


@action(
    "transfer.export_part",
    version="1.0.0",
    title="Export some rows",
    effect=Effect.IDEMPOTENT,
    lane=Lane.SEGMENT,
    timeout=_TIMEOUT,
    is_internal=True,
)
async def export_part(context: ActionContext, arguments: Part) -> Done:
    """Write the rows that follow those of the part before, as CSV."""
    transfers = Transfers(context.transaction)
    transfer = await _transfer(transfers, arguments.transfer)
    if (part := await transfers.part(arguments.transfer, arguments.number)) is None:
        export = Export(context.transaction, transfer, TaxIds(context.services.keys, context.organization_id))
        rows = await export.write(arguments.number, context.services.keys)
        return Done(rows=rows)
    return Done(rows=part["rows"])


@action(
    "transfer.finish",
    version="1.0.0",
    title="Finish an import or export",
    effect=Effect.IDEMPOTENT,
    lane=Lane.SEGMENT,
    timeout=_TIMEOUT,
    is_internal=True,
)
async def finish(context: ActionContext, arguments: Whole) -> Done:
    """Note that all is done, and what was: the outcome of the process."""
    transfers = Transfers(context.transaction)
    transfer = await _transfer(transfers, arguments.transfer)
    counts = await transfers.counts(arguments.transfer)
    if transfer["completed_at"] is None:
        await transfers.change(arguments.transfer, completed_at=context.now)
        verb = "imported" if transfer["direction"] == Direction.IMPORT else "exported"
        if not transfer["dry_run"]:
            await Activities(context.transaction).note(
                [
                    Activity(
                        organization_id=context.organization_id,
                        actor_type=ActorType.WORKER.value,
                        user_id=context.started_by,
                        action=f"{transfer['kind']}.{verb}",
                        resource="transfers",
                        resource_id=str(arguments.transfer),
                        metadata=counts,
                    )
                ]
            )
    return Done(**counts)


async def _imported(context: ActionContext, transfer: RowMapping, rows: list[ImportRow]) -> Imported:
    importing = Importing(
        tx=context.transaction,
        organization_id=context.organization_id,
        transfer_id=transfer["id"],
        created_by=transfer["created_by"],
        mode=ImportMode(transfer["mode"]),
        match_by=MatchBy(transfer["match_by"]),
        tax_ids=TaxIds(context.services.keys, context.organization_id),
    )
    write = importing.clients if transfer["kind"] == TransferKind.CLIENTS else importing.contacts
    if not transfer["dry_run"]:
        return await write(rows)
    async with context.transaction.begin_nested() as trial:  # everything is tried, nothing stays
        done = await write(rows)
        await trial.rollback()
    return done


async def _rows(
    context: ActionContext, transfer: RowMapping, part: RowMapping
) -> tuple[list[ImportRow], list[RowProblem]]:
    """What the part's cells say, and what is wrong with them."""
    try:
        content = await context.services.keys.open(
            context.organization_id, part["content"] or b"", place("transfer_parts", "content", part["id"])
        )
    except Unreadable:
        raise Fault(
            "runtime",
            410,
            "Rows unreadable",
            "The rows of this import cannot be opened any more; upload again.",
        ) from None
    # Telephone numbers and amounts take some time to read: the event loop goes on meanwhile.
    return await asyncio.to_thread(_read, transfer, orjson.loads(content))


def _read(transfer: RowMapping, staged: list[list[Any]]) -> tuple[list[ImportRow], list[RowProblem]]:
    columns, width = transfer["settings"]["columns"], transfer["settings"]["width"]
    rows, problems = [], []
    for line, cells, twin in staged:
        values, wrong = read_row(TransferKind(transfer["kind"]), line, cells, columns, width)
        row = ImportRow(line, values, columns)
        if twin is not None:
            name, first = twin
            message = f"Line {first} has the same {name}."
            told = ImportRow(line, {name: cells[columns[name]]}, columns)
            wrong.append(told.refused(name, message, "Keep one of the two.", "duplicate_row"))
        problems += wrong
        if not wrong:
            rows.append(row)
    return rows, problems


async def _report(context: ActionContext, id: UUID, problems: list[RowProblem]) -> bytes | None:
    if not problems:
        return None
    content = orjson.dumps([problem.as_json() for problem in problems])
    return await context.services.keys.seal(
        context.organization_id, content, place("transfer_parts", "report", id)
    )


async def _found(transfers: Transfers, arguments: Part) -> tuple[RowMapping, RowMapping]:
    transfer = await _transfer(transfers, arguments.transfer)
    part = await transfers.part(arguments.transfer, arguments.number)
    if part is None:
        raise Fault("runtime", 410, "Rows gone", "The rows of this import were forgotten; upload again.")
    return part, transfer


async def _transfer(transfers: Transfers, id: UUID) -> RowMapping:
    try:
        return await transfers.row(id)
    except NotFound:
        raise Fault("runtime", 404, "Unknown transfer", "There is no import or export of this id.") from None

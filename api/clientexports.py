"""Exports of clients and contacts as CSV: written durably, part after part, and kept for a week."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, require
from api.collaborators import Parts
from api.fields import Body, Line
from api.idempotency import Answer, Idempotent
from api.importreports import download
from api.imports import cancelled
from api.pagination import Paging
from api.stepup import require_confirmed
from api.transferviews import ExportPage, ExportView, is_downloadable, show_export
from db.exporting import ROWS_PER_EXPORT_PART, count
from db.outbox import OutboxEntry
from db.sealed import place
from db.transfers import Direction, Transfers
from domain.clientfields import Country
from domain.clients import ClientStatus, ClientType
from domain.errors import Conflict
from domain.imports import TransferKind
from domain.permissions import Permission
from domain.processes.clients import CLIENT_EXPORT

Exporter = Annotated[Caller, Depends(require(Permission.CLIENTS_EXPORT))]
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}
Delimiter = Annotated[
    Literal["comma", "semicolon", "tab"],
    Field("comma", description="Spreadsheets of many countries of Europe expect semicolon."),
]


class NotReady(Conflict):
    """The file is not complete yet, or was forgotten after a week; the export's `message` says which."""

    code = "export_not_ready"


class ClientExport(Body):
    """The filters of the list; what is left out does not filter."""

    q: Annotated[str, Field(max_length=200)] | None = None
    status: ClientStatus | None = None
    client_type: ClientType | None = None
    assigned_manager: UUID | None = None
    unassigned: bool = False
    tag: Line | None = None
    country: Country | None = None
    delimiter: Delimiter = "comma"
    tax_ids: bool = Field(
        False,
        description="With their tax ids; asks for a confirmed login (403 step_up_required), never a key.",
    )


class ContactExport(Body):
    """The filters of the list; what is left out does not filter."""

    q: Annotated[str, Field(max_length=200)] | None = None
    client_id: UUID | None = None
    tag: Line | None = None
    is_primary: bool | None = None
    can_authorize: bool | None = None
    receives_communications: bool | None = None
    delimiter: Delimiter = "comma"


_ABOUT_THE_FILE = {"delimiter", "tax_ids"}
clients = APIRouter(prefix="/v1/clients/exports", tags=["clients"])
contacts = APIRouter(prefix="/v1/contacts/exports", tags=["contacts"])


@clients.post("", operation_id="clients_exports_start", status_code=202, response_model=ExportView)
async def export_clients(
    caller: Exporter, parts: Parts, once: Idempotent, body: ClientExport | None = None
) -> Response:
    """Every client that fits, as CSV that an import reads back; formulas are made harmless."""
    asked = body or ClientExport()
    if asked.tax_ids:
        await require_confirmed(caller, parts)
    return await _start(caller, parts, once, TransferKind.CLIENTS, asked)


@contacts.post("", operation_id="contacts_exports_start", status_code=202, response_model=ExportView)
async def export_contacts(
    caller: Exporter, parts: Parts, once: Idempotent, body: ContactExport | None = None
) -> Response:
    """Every contact that fits, with number and e-mail address of its client."""
    return await _start(caller, parts, once, TransferKind.CONTACTS, body or ContactExport())


async def _start(
    caller: Caller, parts: Parts, once: Idempotent, kind: TransferKind, asked: ClientExport | ContactExport
) -> Response:
    id = uuid4()
    filters = asked.model_dump(mode="json", exclude_unset=True, exclude=_ABOUT_THE_FILE)
    filters = {name: value for name, value in filters.items() if value is not None}

    async def start(tx: AsyncConnection) -> Answer[OutboxEntry]:
        total = await count(tx, kind, filters)
        pieces = max(1, -(-total // ROWS_PER_EXPORT_PART))
        begun = await parts.processes.start(
            tx,
            CLIENT_EXPORT,
            caller.organization,
            input={"transfer": str(id), "parts": pieces},
            started_by=caller.user_id,
        )
        transfers = Transfers(tx)
        await transfers.add(
            {
                "id": id,
                "organization_id": caller.organization,
                "direction": Direction.EXPORT.value,
                "kind": kind.value,
                "settings": {
                    "filters": filters,
                    "delimiter": _DELIMITERS[asked.delimiter],
                    "tax_ids": isinstance(asked, ClientExport) and asked.tax_ids,
                    "parts": pieces,
                },
                "total": total,
                "execution_id": begun.execution_id,
                "created_by": caller.user_id,
            }
        )
        row = await transfers.get(id, Direction.EXPORT, kind.value)
        return Answer(202, show_export(row), carry=begun.entry)

    answer = await once.run(caller, start)
    if answer.carry is not None:
        await parts.dispatcher.dispatch(answer.carry)
    response = answer.response()
    response.headers["Location"] = answer.body["links"]["self"]
    return response


def _following(router: APIRouter, kind: TransferKind) -> None:
    """The routes by which an export is followed; the same for both kinds."""
    name = f"{kind.value}_exports"

    @router.get("", operation_id=f"{name}_list", response_model=ExportPage)
    async def list_exports(caller: Exporter, parts: Parts, paging: Paging) -> Any:
        """Newest first."""
        async with parts.database.transaction(caller.access) as tx:
            rows = await Transfers(tx).page(Direction.EXPORT, kind.value, paging.before, paging.fetch)
        return paging.page(rows, lambda row: (row["created_at"], row["id"]), show_export)

    @router.get("/{id}", operation_id=f"{name}_get", response_model=ExportView)
    async def get_export(caller: Exporter, parts: Parts, id: UUID) -> Any:
        """How far it is; `links.file` once it is complete."""
        async with parts.database.transaction(caller.access) as tx:
            return show_export(await Transfers(tx).get(id, Direction.EXPORT, kind.value))

    @router.get(
        "/{id}/file",
        operation_id=f"{name}_file",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "The file."}
        },
    )
    async def download_export(caller: Exporter, parts: Parts, id: UUID) -> Response:
        """UTF-8 with a byte order mark, as spreadsheets like it. With tax ids, for confirmed logins alone."""
        async with parts.database.transaction(caller.access) as tx:
            row = await Transfers(tx).get(id, Direction.EXPORT, kind.value)
        if row["settings"]["tax_ids"]:
            await require_confirmed(caller, parts)
        if not is_downloadable(row):
            raise NotReady

        async def pieces() -> AsyncIterator[bytes]:
            after = -1
            while True:  # one part in memory at a time
                async with parts.database.transaction(caller.access) as tx:
                    found = await Transfers(tx).contents(id, after=after, limit=1)
                if not found:
                    return
                [part] = found
                where = place("transfer_parts", "content", part["id"])
                yield await parts.keys.open(caller.organization, part["content"], where)
                after = part["number"]

        return download(pieces(), f"{kind.value}.csv")

    @router.post("/{id}/cancel", operation_id=f"{name}_cancel", status_code=202, response_model=ExportView)
    async def cancel_export(caller: Exporter, parts: Parts, once: Idempotent, id: UUID) -> Response:
        """Stops writing; there will be no file."""

        async def cancel(tx: AsyncConnection) -> Answer[OutboxEntry]:
            transfers = Transfers(tx)
            row = await transfers.get(id, Direction.EXPORT, kind.value)
            entry = await cancelled(tx, row["execution_id"])
            return Answer(
                202, show_export(await transfers.get(id, Direction.EXPORT, kind.value)), carry=entry
            )

        answer = await once.run(caller, cancel)
        if answer.carry is not None:
            await parts.dispatcher.dispatch(answer.carry)
        return answer.response()


_following(clients, TransferKind.CLIENTS)
_following(contacts, TransferKind.CONTACTS)

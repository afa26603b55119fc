"""Finding clients of the organization: whoever fits, so that a workflow may go through them one by one."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, model_validator
from sqlalchemy import func

from activities.actions.clients import ClientResult, result_of
from activities.actions.context import ActionContext
from activities.actions.declaration import Arguments, Result, action
from db.clients import Client
from db.clientsearch import ClientFilter, clients
from domain.actions import Effect, Lane
from domain.clients import ClientStatus

#: Two hundred long rows would be more than a value may hold.
MOST = 50


class FindClients(Arguments):
    """What is not given does not narrow; something has to be."""

    email: Annotated[str, Field(min_length=3, max_length=320)] | None = None
    client_number: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    tag: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    status: ClientStatus | None = None
    limit: Annotated[int, Field(ge=1, le=MOST)] = 20

    @model_validator(mode="after")
    def _narrows(self) -> "FindClients":
        if (self.email, self.client_number, self.tag, self.status) == (None, None, None, None):
            raise ValueError("say whom to find: email, client_number, tag or status")
        return self


class FoundClients(Result):
    """`more` when further clients fit than were asked for."""

    clients: list[ClientResult]
    more: bool


@action(
    "client.find",
    version="1.0.0",
    title="Find clients",
    effect=Effect.IDEMPOTENT,
    lane=Lane.SEGMENT,
    timeout=timedelta(seconds=5),
)
async def find_clients(context: ActionContext, arguments: FindClients) -> FoundClients:
    """Return the clients with this address, number, tag and status, by name; none is no error."""
    found = clients(ClientFilter(status=arguments.status, tag=arguments.tag), indexed=False)
    if arguments.email is not None:
        found = found.where(func.lower(Client.email) == arguments.email.strip().lower())
    if arguments.client_number is not None:
        found = found.where(Client.client_number == arguments.client_number)
    found = found.order_by(Client.name, Client.id).limit(arguments.limit + 1)
    rows = (await context.transaction.execute(found)).mappings().all()
    return FoundClients(
        clients=[result_of(row) for row in rows[: arguments.limit]], more=len(rows) > arguments.limit
    )

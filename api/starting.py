"""Starting a workflow: row and word to the engine commit together, then the engine is told at once."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Header, Response
from pydantic import BaseModel, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, require
from api.collaborators import Collaborators, Parts
from api.executionviews import ExecutionLinks, ExecutionView, links, show_one
from api.fields import AnyJson, Body
from api.idempotency import Answer, Idempotent
from api.preferences import wait_of
from db.definitions import Versions, Workflows
from db.executions import Executions, NewExecution
from db.outbox import Outbox, OutboxEntry
from domain.definitions.lifecycle import DefinitionStatus
from domain.definitions.schemas import Schema, compile_schema
from domain.errors import Conflict, Invalid
from domain.executions import ExecutionStatus, OutboxKind, TriggerType
from domain.ids import WorkflowId
from domain.payloads import misfits
from domain.permissions import Permission

router = APIRouter(tags=["executions"])
Starter = Annotated[Caller, Depends(require(Permission.EXECUTIONS_START))]
KIND = "workflow"
_TRIGGER = {"type": TriggerType.MANUAL.value, "name": "api"}


class NotRunnable(Conflict):
    """This workflow cannot be started as it stands."""

    code = "not_runnable"


class StartBody(Body):
    input: AnyJson = Field(
        default_factory=dict, description="Any JSON that fits the definition's input.schema."
    )
    version: int | None = Field(
        None, ge=1, lt=2**31, description="A published version; the current one if absent."
    )


class Accepted(BaseModel):
    id: UUID
    status: ExecutionStatus
    workflow_id: UUID
    version: int
    links: ExecutionLinks


@dataclass(frozen=True, slots=True)
class Startable:
    """What starting needs to know of a published version; versions never change, so it may be remembered."""

    id: UUID
    workflow_id: UUID
    number: int
    sha256: str
    name: str
    input_schema: Schema | None

    @classmethod
    def of(cls, row: RowMapping) -> "Startable":
        document = row["compiled"]["document"]
        schema = document.get("input", {}).get("schema")
        return cls(
            id=row["id"],
            workflow_id=row["workflow_id"],
            number=row["number"],
            sha256=row["sha256"],
            name=document["document"]["name"],
            input_schema=compile_schema(schema["document"]) if schema else None,
        )


class Remembered:
    """The versions started lately, by id and by number; bounded, the longest unused are forgotten first.

    Only ever asked after the workflow's own row was read under row level security.
    """

    def __init__(self, capacity: int = 256) -> None:
        self._capacity = capacity
        self._known: OrderedDict[UUID | tuple[UUID, int], Startable] = OrderedDict()

    async def get(
        self, tx: AsyncConnection, workflow_id: UUID, current: UUID, number: int | None
    ) -> Startable:
        """Raises NotFound when the workflow has no version of this number."""
        key = current if number is None else (workflow_id, number)
        found = self._known.get(key)
        if found is None:
            versions = Versions(tx)
            row = await (versions.find(current) if number is None else versions.get(workflow_id, number))
            found = self._known[key] = await asyncio.to_thread(Startable.of, row)
            while len(self._known) > self._capacity:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return found


_remembered = Remembered()


@router.post(
    "/v1/workflows/{id}/executions",
    operation_id="executions_start",
    status_code=202,
    response_model=Accepted,
    responses={200: {"model": ExecutionView, "description": "It finished within the time of Prefer: wait."}},
)
async def start_execution(
    *,
    caller: Starter,
    parts: Parts,
    once: Idempotent,
    id: UUID,
    body: StartBody | None = None,
    prefer: Annotated[
        str | None,
        Header(max_length=200, description="`wait=N`: answer with the result if ready in N ≤ 30 s."),
    ] = None,
) -> Response:
    """Accepts an execution: once this answers, it will run exactly once, whatever fails in between."""
    asked, seconds = body or StartBody(), wait_of(prefer)

    async def accept(tx: AsyncConnection) -> Answer[OutboxEntry]:
        entry, accepted = await _accept(tx, caller, id, asked)
        return Answer(202, accepted, carry=entry)

    answer = await once.run(caller, accept)
    if answer.carry is not None:
        await parts.dispatcher.dispatch(answer.carry)
    headers = {"Location": answer.body["links"]["self"]}
    if seconds is not None:
        headers["Preference-Applied"] = f"wait={seconds}"
        answer = await _awaited(parts, caller, answer, seconds)
    return replace(answer, headers=headers).response()


async def _accept(
    tx: AsyncConnection, caller: Caller, workflow_id: UUID, asked: StartBody
) -> tuple[OutboxEntry, dict[str, Any]]:
    """Three statements when the version is remembered: read the workflow, write execution and word."""
    status, current = await Workflows(tx).standing(workflow_id)
    version = await _remembered.get(tx, workflow_id, _runnable(workflow_id, status, current), asked.version)
    await _check_input(version, asked.input)
    execution_id = uuid4()
    address = str(WorkflowId(caller.organization, KIND, execution_id))
    entry = OutboxEntry(
        id=uuid4(),
        organization_id=caller.organization,
        execution_id=execution_id,
        kind=OutboxKind.START,
        workflow_id=address,
        payload={
            "execution_id": str(execution_id),
            "version_id": str(version.id),
            "sha256": version.sha256,
            "input": asked.input,
            "trigger": _TRIGGER,
            "started_by": str(caller.user_id),
            "definition_name": version.name,
        },
    )
    new = NewExecution(
        id=execution_id,
        workflow_id=workflow_id,
        workflow_version_id=version.id,
        temporal_workflow_id=address,
        trigger_event=f"{_TRIGGER['type']}:{_TRIGGER['name']}",
        trigger_data={"input": asked.input},
        kind=KIND,
        started_by=caller.user_id,
    )
    await Executions(tx).queue(caller.organization, new)
    await Outbox(tx).add(entry)
    return entry, {
        "id": str(execution_id),
        "status": ExecutionStatus.QUEUED.value,
        "workflow_id": str(workflow_id),
        "version": version.number,
        "links": links(execution_id, workflow_id),
    }


def _runnable(id: UUID, status: str, current: UUID | None) -> UUID:
    if status == DefinitionStatus.ARCHIVED:
        raise NotRunnable("This workflow is archived; create a new one from its definition to run it again.")
    if current is None:
        raise NotRunnable(f"This workflow has no published version; POST /v1/workflows/{id}/publish first.")
    if status == DefinitionStatus.PAUSED:
        raise NotRunnable(f"This workflow is paused; POST /v1/workflows/{id}/resume first.")
    return current


async def _check_input(version: Startable, value: Any) -> None:
    if version.input_schema is None:
        return
    problems = await asyncio.to_thread(misfits, version.input_schema, value, "input")
    if problems:
        raise Invalid(
            f"The input does not fit input.schema of version {version.number}; see `errors` for each place.",
            problems=problems,
        )


async def _awaited(
    parts: Collaborators, caller: Caller, answer: Answer[OutboxEntry], seconds: int
) -> Answer[OutboxEntry]:
    """The finished execution (200), or the answer as it was when it takes longer."""
    id = UUID(answer.body["id"])
    view = await _view(parts, caller, id) if answer.replayed else None
    if view is None or not view.status.is_terminal:
        if not await parts.dispatcher.finished(
            str(WorkflowId(caller.organization, KIND, id)), float(seconds)
        ):
            return answer
        view = await _view(parts, caller, id)
        if not view.status.is_terminal:  # it was stopped from outside, and the mirror has not noticed yet
            return answer
    return replace(answer, status=200, body=view.model_dump(mode="json"))


async def _view(parts: Collaborators, caller: Caller, id: UUID) -> ExecutionView:
    async with parts.database.transaction(caller.access) as tx:
        return await show_one(tx, await Executions(tx).get(id))

"""Accepting a trigger of any kind: the execution's row and the word to the engine, in the caller's transaction.

entry, accepted = await accept(tx, organization, workflow, trigger={...}, input=..., started_by=...)
...after the commit: if entry is not None: await dispatcher.dispatch(entry)
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.executionviews import links
from db.definitions import Versions, Workflows
from db.executions import Executions
from db.outbox import OutboxEntry
from db.starts import start_of
from domain.definitions.lifecycle import DefinitionStatus
from domain.definitions.schemas import Schema, compile_schema
from domain.errors import Conflict, Invalid
from domain.executions import ExecutionStatus
from domain.payloads import misfits


class NotRunnable(Conflict):
    """This workflow cannot be started as it stands."""

    code = "not_runnable"


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


async def accept(
    tx: AsyncConnection,
    organization_id: UUID,
    workflow_id: UUID,
    *,
    trigger: dict[str, Any],
    input: Any,
    started_by: UUID | None,
    trigger_key: str | None = None,
    version: int | None = None,
    context: dict[str, Any] | None = None,
) -> tuple[OutboxEntry | None, dict[str, Any]]:
    """Queues one execution; what to dispatch after the commit, and what to answer.

    `trigger` has `type` and `name` and becomes `$workflow.trigger`. A `trigger_key` that was accepted before
    names the execution it started then, and there is nothing to dispatch (None); whoever holds the same key in
    another transaction is waited for. Raises NotFound, NotRunnable, and Invalid for an input that does not fit.
    """
    found = await acceptable(tx, workflow_id, input, version)
    execution_id = uuid4()
    new, entry = start_of(
        organization_id,
        execution_id,
        workflow_id=workflow_id,
        version_id=found.id,
        sha256=found.sha256,
        definition_name=found.name,
        trigger=trigger,
        input=input,
        started_by=started_by,
        trigger_key=trigger_key,
        context=context,
    )
    if not await Executions(tx).queue(organization_id, new, entry):
        return None, await _named(tx, str(trigger_key))
    return entry, _accepted(execution_id, ExecutionStatus.QUEUED, workflow_id, found.number)


async def acceptable(tx: AsyncConnection, workflow_id: UUID, input: Any, version: int | None) -> Startable:
    """The version `accept` would run with this input; raises what `accept` raises."""
    status, current = await Workflows(tx).standing(workflow_id)
    found = await _remembered.get(tx, workflow_id, _runnable(workflow_id, status, current), version)
    await _check_input(found, input)
    return found


async def _named(tx: AsyncConnection, trigger_key: str) -> dict[str, Any]:
    """What the first acceptance of this key started."""
    row = await Executions(tx).of_trigger_key(trigger_key)
    numbers = await Versions(tx).numbers({row["workflow_version_id"]})
    return _accepted(
        row["id"], ExecutionStatus(row["status"]), row["workflow_id"], numbers[row["workflow_version_id"]]
    )


def _accepted(id: UUID, status: ExecutionStatus, workflow_id: UUID, version: int) -> dict[str, Any]:
    return {
        "id": str(id),
        "status": status.value,
        "workflow_id": str(workflow_id),
        "version": version,
        "links": links(id, workflow_id),
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

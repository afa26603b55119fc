"""Executions that an execution starts: found by what their document says, started once, cancelled with it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.answers import answer_again
from db.definitions import Versions
from db.executions import CancelResult, Executions, Parent, cancellation
from db.outbox import Outbox, OutboxEntry
from db.starts import start_of
from domain.definitions.checks import refuse_problems
from domain.definitions.expressions import Meter
from domain.definitions.faults import Fault
from domain.definitions.lifecycle import DefinitionStatus
from domain.definitions.program import PROGRAMS
from domain.ids import derived_id, effect_key

#: Executions inside one another, the outermost not counted.
MAXIMUM_DEPTH: Final = 10
#: Executions that one outermost execution brings about in all: a circle must not multiply without end.
MAXIMUM_FAMILY: Final = 10_000


@dataclass(frozen=True, slots=True)
class NewChild:
    """An occurrence of a step that runs another workflow; the child's id comes from it."""

    organization_id: UUID
    parent_id: UUID
    occurrence: str
    namespace: str
    name: str
    #: A version of the document, or `latest`.
    version: str
    input: Any
    is_awaited: bool

    @property
    def id(self) -> UUID:
        return derived_id(effect_key(self.parent_id, self.occurrence))

    @property
    def called(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Begun:
    """The child's row; `entry` starts it, to be dispatched after the commit (None: it was started before)."""

    row: RowMapping
    entry: OutboxEntry | None


@dataclass(frozen=True, slots=True)
class Recalled:
    """`entry` is to be dispatched after the commit; `will_answer`: the parent is told when the child has ended."""

    entry: OutboxEntry | None
    will_answer: bool


class Children:
    """Children of executions of the organization the transaction belongs to."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def start(self, new: NewChild) -> Begun:
        """Queue the child, unless this occurrence has one already: the version is resolved once and recorded.

        Raises Fault: configuration 404 or 409 for a workflow that cannot be found or run, validation 400 for an
        input that does not fit, runtime 508 for executions nested too deep.
        """
        known = await self._of(new.parent_id, new.occurrence)
        if known is not None:
            return Begun(known, None)
        parent = (await self._connection.execute(_PARENT, {"id": new.parent_id})).mappings().one()
        await self._refuse_endless(new, parent)
        version = await self._version(new)
        await self._check_input(new, version)
        trigger = {"type": "workflow", "name": parent["document_name"], "execution_id": str(new.parent_id)}
        execution, entry = start_of(
            new.organization_id,
            new.id,
            workflow_id=version["workflow_id"],
            version_id=version["id"],
            sha256=version["sha256"],
            definition_name=new.name,
            trigger=trigger,
            input=new.input,
            started_by=parent["started_by"],
            trigger_key=f"execution/{new.id}",
            parent=Parent(
                new.parent_id,
                new.occurrence,
                parent["root_id"] or new.parent_id,
                parent["depth"] + 1,
                new.is_awaited,
            ),
        )
        is_new = await Executions(self._connection).queue(new.organization_id, execution, entry)
        row = await Executions(self._connection).get(new.id)
        return Begun(row, entry if is_new else None)

    async def tell_again(self, parent_id: UUID, occurrences: Sequence[str], run_id: str) -> list[OutboxEntry]:
        """Tell a run that a reset began which of these children have ended; they do not run twice."""
        values = {"parent_id": parent_id, "occurrences": list(occurrences)}
        ended = (await self._connection.scalars(_ENDED, values)).all()
        told = [await answer_again(self._connection, child, run_id) for child in ended]
        return [entry for entry in told if entry is not None]

    async def cancel(self, parent_id: UUID, occurrence: str, run_id: str) -> Recalled:
        """Ask the child to end, because nobody waits for its outcome any more; its answer says when it has ended."""
        child = await self._of(parent_id, occurrence)
        if child is None or await self._connection.scalar(_IS_CLOSED, {"id": parent_id}):
            return Recalled(None, will_answer=False)
        result, row = await Executions(self._connection).request_cancel(child["id"])
        entry = None
        if result is CancelResult.REQUESTED:
            reason = "the execution that waited for it does not need it any more"
            entry = cancellation(row, reason, result)
            await Outbox(self._connection).add(entry)
        elif result is CancelResult.TERMINAL:
            entry = await answer_again(self._connection, child["id"], run_id)
        return Recalled(entry, will_answer=True)

    async def _of(self, parent_id: UUID, occurrence: str) -> RowMapping | None:
        values = {"parent_id": parent_id, "occurrence": occurrence}
        return (await self._connection.execute(_CHILD, values)).mappings().one_or_none()

    async def _refuse_endless(self, new: NewChild, parent: RowMapping) -> None:
        if parent["depth"] >= MAXIMUM_DEPTH:
            way = (await self._connection.scalars(_ANCESTORS, {"id": new.parent_id})).all()
            shown = " → ".join([*reversed(way), new.called])
            circle = "; they run each other in a circle" if new.called in way else ""
            raise _endless(
                f"Workflows run each other at most {MAXIMUM_DEPTH} deep, but this would be {shown}{circle}"
            )
        root = parent["root_id"] or new.parent_id
        if await self._connection.scalar(_IS_LARGE, {"root_id": root, "offset": MAXIMUM_FAMILY - 1}):
            raise _endless(
                f"Execution {root} has brought about {MAXIMUM_FAMILY} executions, which is as many as one may"
            )

    async def _version(self, new: NewChild) -> RowMapping:
        values = {"namespace": new.namespace, "name": new.name, "version": new.version}
        found = (await self._connection.execute(_VERSION, values)).mappings().all()
        if not found:
            raise await self._unknown(new)
        if len(found) > 1:
            ids = ", ".join(str(row["workflow_id"]) for row in found[:3])
            raise Fault(
                "configuration",
                409,
                "Workflow not clear",
                f"{len(found)} workflows say in their document that they are '{new.called}' ({ids}); give all but"
                " one another name, or archive them",
            )
        [version] = found
        if version["status"] == DefinitionStatus.PAUSED:
            raise Fault(
                "configuration",
                409,
                "Workflow paused",
                f"'{new.called}' is paused; resume workflow {version['workflow_id']} first",
            )
        return version

    async def _unknown(self, new: NewChild) -> Fault:
        known = (
            await self._connection.scalars(_VERSIONS, {"namespace": new.namespace, "name": new.name})
        ).all()
        if known:
            told = (
                f"'{new.called}' was never published as version {new.version}; it was as {', '.join(known)}"
            )
        else:
            told = (
                f"no published workflow says in its document that it is '{new.called}'; compare `document.namespace`"
                " and `document.name` of the one you mean"
            )
        return Fault("configuration", 404, "Workflow not found", told)

    async def _check_input(self, new: NewChild, version: RowMapping) -> None:
        program = PROGRAMS.get(version["sha256"])
        if program is None:
            row = await Versions(self._connection).find(version["id"])
            program = await asyncio.to_thread(PROGRAMS.load, row["sha256"], row["compiled"])
        schema = program.flow.input_schema
        if schema is not None:
            what = f"The input of '{new.called}'"
            await asyncio.to_thread(refuse_problems, schema, new.input, what, Meter())


def _endless(detail: str) -> Fault:
    return Fault("runtime", 508, "Too many executions inside one another", detail)


_CHILD = text(
    "SELECT * FROM workflow_executions WHERE parent_id = :parent_id AND parent_occurrence = :occurrence"
)

_IS_CLOSED = text("SELECT completed_at IS NOT NULL FROM workflow_executions WHERE id = :id")

_PARENT = text(
    """
    SELECT e.depth, e.root_id, e.started_by, v.document_name
    FROM workflow_executions e
    JOIN workflow_versions v ON v.organization_id = e.organization_id AND v.id = e.workflow_version_id
    WHERE e.id = :id
    """
)

#: From the innermost to the outermost.
_ANCESTORS = text(
    """
    WITH RECURSIVE way AS (
        SELECT e.*, 0 AS up FROM workflow_executions e WHERE e.id = :id
        UNION ALL
        SELECT e.*, way.up + 1 FROM workflow_executions e JOIN way ON e.id = way.parent_id
    )
    SELECT v.document_namespace || '/' || v.document_name
    FROM way JOIN workflow_versions v ON v.id = way.workflow_version_id ORDER BY up
    """
)

_IS_LARGE = text("SELECT true FROM workflow_executions WHERE root_id = :root_id OFFSET :offset LIMIT 1")

#: Of each workflow that matches, the version published last.
_VERSION = text(
    """
    SELECT DISTINCT ON (v.workflow_id) v.workflow_id, v.id, v.sha256, w.status
    FROM workflow_versions v
    JOIN workflows w ON w.organization_id = v.organization_id AND w.id = v.workflow_id
    WHERE v.document_namespace = :namespace AND v.document_name = :name
      AND w.published_version_id IS NOT NULL AND w.status <> 'archived'
      AND w.process IS NULL
      AND CASE WHEN CAST(:version AS text) = 'latest' THEN v.id = w.published_version_id
               ELSE v.document_version = :version END
    ORDER BY v.workflow_id, v.number DESC
    """
)

_VERSIONS = text(
    """
    SELECT v.document_version
    FROM workflow_versions v
    JOIN workflows w ON w.organization_id = v.organization_id AND w.id = v.workflow_id
    WHERE v.document_namespace = :namespace AND v.document_name = :name AND w.status <> 'archived'
      AND w.process IS NULL
    GROUP BY v.document_version ORDER BY max(v.number) DESC LIMIT 5
    """
)

_ENDED = text(
    """
    SELECT id FROM workflow_executions
    WHERE parent_id = :parent_id AND parent_occurrence = ANY (CAST(:occurrences AS text[]))
      AND is_awaited AND completed_at IS NOT NULL
    """
)

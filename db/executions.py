"""The mirror: what every execution and each of its steps is doing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    RowMapping,
    func,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.answers import answer
from db.base import (
    Base,
    CreatedAt,
    Id,
    JsonList,
    JsonObject,
    JsonValue,
    No,
    Tenant,
    UpdatedAt,
    UserRef,
    one_of,
    tenant_key,
    within,
)
from db.engine import to_json
from db.outbox import OutboxEntry
from db.outcomes import OUTCOME
from db.rows import Before, one
from domain.errors import NotFound
from domain.executions import ExecutionStatus, OutboxKind, StepStatus
from domain.ids import derived_id


class WorkflowExecution(Tenant, Base):
    __tablename__ = "workflow_executions"
    __table_args__ = (
        tenant_key(),
        within("workflow_id", "workflows"),
        within("workflow_version_id", "workflow_versions"),
        within("parent_id", "workflow_executions", ondelete="SET NULL (parent_id)"),
        within("rerun_of_id", "workflow_executions", ondelete="SET NULL (rerun_of_id)"),
        Index(
            "uq_workflow_executions_trigger_key",
            "organization_id",
            "trigger_key",
            unique=True,
            postgresql_where=text("trigger_key IS NOT NULL"),
        ),
        Index(None, "organization_id", "created_at", "id"),
        Index(None, "organization_id", "workflow_id", "created_at", "id"),
        Index(None, "organization_id", "status", "created_at", "id"),
        Index(None, "organization_id", "workflow_version_id"),
        Index(
            "ix_workflow_executions_parent_id",
            "organization_id",
            "parent_id",
            "created_at",
            "id",
            postgresql_where=text("parent_id IS NOT NULL"),
        ),
        Index(
            "ix_workflow_executions_rerun_of_id",
            "organization_id",
            "rerun_of_id",
            "created_at",
            "id",
            postgresql_where=text("rerun_of_id IS NOT NULL"),
        ),
        Index(
            "ix_workflow_executions_root_id",
            "organization_id",
            "root_id",
            postgresql_where=text("root_id IS NOT NULL"),
        ),
        Index(
            "ix_workflow_executions_open",
            "updated_at",
            postgresql_where=text("status IN ('queued', 'running', 'waiting', 'paused')"),
        ),
        Index("ix_workflow_executions_created_at", "created_at", postgresql_using="brin"),
        Index(
            "ix_workflow_executions_stalled",
            "stalled_since",
            postgresql_where=text("stalled_since IS NOT NULL"),
        ),
        one_of("status", ExecutionStatus),
        CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
        CheckConstraint("cardinality(mirror_version) = 3", name="mirror_version"),
    )

    id: Mapped[Id]
    workflow_id: Mapped[UUID]
    workflow_version_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(server_default="workflow")
    trigger_event: Mapped[str]
    trigger_data: Mapped[JsonObject]
    #: Unique within the organization: the same delivery or Idempotency-Key starts one execution.
    trigger_key: Mapped[str | None]
    execution_context: Mapped[JsonObject]
    temporal_workflow_id: Mapped[str]
    temporal_run_id: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default=ExecutionStatus.QUEUED)
    progress: Mapped[int] = mapped_column(server_default="0")
    current_step: Mapped[int] = mapped_column(server_default="0")
    #: (run start, history length, n), compared left to right: an older report never overwrites a newer one.
    mirror_version: Mapped[list[int]] = mapped_column(ARRAY(BigInteger()), server_default="{0,0,0}")
    waiting_on: Mapped[JsonValue]
    output: Mapped[JsonValue]
    error: Mapped[JsonValue]
    error_message: Mapped[str | None]
    execution_log: Mapped[JsonList]
    started_by: Mapped[UserRef | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    #: The run in Temporal by which an operator reset this execution, once its row follows that.
    reset_run_id: Mapped[str | None]
    #: From what happened in the workflow to its commit here, of the latest report.
    lag_ms: Mapped[int | None]
    #: Its workflow tasks fail again and again since then; Temporal's word for why.
    stalled_since: Mapped[datetime | None]
    stalled_reason: Mapped[str | None]
    #: When supervision compared the row with Temporal, and in which version of the row.
    verified_at: Mapped[datetime | None]
    verified_version: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger()))
    #: The execution that started this one, by which entry into which of its steps.
    parent_id: Mapped[UUID | None]
    parent_occurrence: Mapped[str | None]
    #: The outermost of the executions that started each other; none for itself.
    root_id: Mapped[UUID | None]
    depth: Mapped[int] = mapped_column(server_default="0")
    #: Its parent waits for the outcome.
    is_awaited: Mapped[No]
    #: The execution that this one repeats from one of its steps on; `execution_context.rerun` says from which.
    rerun_of_id: Mapped[UUID | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class ExecutionStep(Tenant, Base):
    """One occurrence of a step: an entry into a node of the definition."""

    __tablename__ = "execution_steps"
    __table_args__ = (
        within("execution_id", "workflow_executions", ondelete="CASCADE"),
        Index(None, "organization_id", "execution_id", "position"),
        Index("ix_execution_steps_started_at", "started_at", postgresql_using="brin"),
        one_of("status", StepStatus),
    )

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"),
        primary_key=True,
        sort_order=-3,
    )
    execution_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-2)
    #: "/do/0/getPet#1"
    occurrence: Mapped[str] = mapped_column(primary_key=True, sort_order=-1)
    pointer: Mapped[str]
    name: Mapped[str]
    kind: Mapped[str]
    action: Mapped[str | None]
    visit: Mapped[int]
    position: Mapped[int] = mapped_column(BigInteger())
    attempt: Mapped[int] = mapped_column(server_default="1")
    #: Once it is tried again: `{run, made}`, see `domain.attempts`.
    attempts: Mapped[JsonValue]
    status: Mapped[str]
    input: Mapped[JsonValue]
    output: Mapped[JsonValue]
    error: Mapped[JsonValue]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    #: Start of the run that wrote this line, in epoch ms: a reset run's lines replace those of the run before.
    run_started: Mapped[int] = mapped_column(BigInteger(), server_default="0")
    #: Taken by the execution that this one repeats; here it was only answered.
    is_taken_over: Mapped[No]


@dataclass(frozen=True, slots=True)
class Parent:
    """By which entry into a step of which execution another one was started, and how deep it is inside others."""

    id: UUID
    occurrence: str
    root_id: UUID
    depth: int
    is_awaited: bool


@dataclass(frozen=True, slots=True)
class NewExecution:
    """An accepted trigger. `temporal_workflow_id` is decided here, before anything is started."""

    id: UUID
    workflow_id: UUID
    workflow_version_id: UUID
    temporal_workflow_id: str
    trigger_event: str
    trigger_data: dict[str, Any]
    trigger_key: str | None = None
    kind: str = "workflow"
    started_by: UUID | None = None
    context: dict[str, Any] | None = None
    parent: Parent | None = None


class CancelResult(StrEnum):
    """What a request to cancel found."""

    CLOSED = "closed"
    REQUESTED = "requested"
    ALREADY_REQUESTED = "already_requested"
    #: Asked before, and it still runs: now it is to be ended without being asked.
    TERMINATE = "terminate"
    TERMINAL = "terminal"


class Executions:
    """Executions of the current organization, as their users see them."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def queue(self, organization_id: UUID, new: NewExecution, start: OutboxEntry) -> bool:
        """Write the row of an accepted trigger and the word that starts it; False when its trigger key has one already.

        Waits for another transaction that is writing the same trigger key.
        """
        values = {
            "organization_id": organization_id,
            "id": new.id,
            "workflow_id": new.workflow_id,
            "workflow_version_id": new.workflow_version_id,
            "kind": new.kind,
            "trigger_event": new.trigger_event,
            "trigger_data": to_json(new.trigger_data),
            "trigger_key": new.trigger_key,
            "temporal_workflow_id": new.temporal_workflow_id,
            "started_by": new.started_by,
            "context": to_json(new.context or {}),
            "parent_id": new.parent.id if new.parent else None,
            "parent_occurrence": new.parent.occurrence if new.parent else None,
            "root_id": new.parent.root_id if new.parent else None,
            "depth": new.parent.depth if new.parent else 0,
            "is_awaited": new.parent.is_awaited if new.parent else False,
            "start_id": start.id,
            "start_kind": start.kind.value,
            "payload": to_json(start.payload),
        }
        return await self._connection.scalar(_QUEUE, values) is not None

    async def of_trigger_key(self, trigger_key: str) -> RowMapping:
        """The execution this key started; raises NotFound."""
        query = select(*WorkflowExecution.__table__.columns).where(
            WorkflowExecution.trigger_key == trigger_key
        )
        return one(await self._connection.execute(query))

    async def get(self, execution_id: UUID) -> RowMapping:
        """Raises NotFound."""
        query = select(*WorkflowExecution.__table__.columns).where(WorkflowExecution.id == execution_id)
        row = (await self._connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise NotFound
        return row

    async def page(
        self,
        *,
        limit: int,
        before: Before | None = None,
        workflow_id: UUID | None = None,
        statuses: Sequence[str] = (),
        trigger: str | None = None,
        created_from: datetime | None = None,
        created_to: datetime | None = None,
        parent_id: UUID | None = None,
        rerun_of_id: UUID | None = None,
    ) -> Sequence[RowMapping]:
        """The newest executions first, one more than `limit` when there is a next page."""
        table = WorkflowExecution
        query = select(*table.__table__.columns).order_by(table.created_at.desc(), table.id.desc())
        if before is not None:
            query = query.where(tuple_(table.created_at, table.id) < before)
        if workflow_id is not None:
            query = query.where(table.workflow_id == workflow_id)
        if parent_id is not None:
            query = query.where(table.parent_id == parent_id)
        if rerun_of_id is not None:
            query = query.where(table.rerun_of_id == rerun_of_id)
        if statuses:
            query = query.where(table.status.in_(statuses))
        if trigger is not None:
            query = query.where(table.trigger_event.startswith(trigger, autoescape=True))
        if created_from is not None:
            query = query.where(table.created_at >= created_from)
        if created_to is not None:
            query = query.where(table.created_at < created_to)
        return (await self._connection.execute(query.limit(limit + 1))).mappings().all()

    async def steps(
        self, execution_id: UUID, *, limit: int = 500, after: int | None = None
    ) -> Sequence[RowMapping]:
        """Steps in the order in which they began, one more than `limit` when there is a next page."""
        query = select(*ExecutionStep.__table__.columns).where(ExecutionStep.execution_id == execution_id)
        if after is not None:
            query = query.where(ExecutionStep.position > after)
        query = query.order_by(ExecutionStep.position).limit(limit + 1)
        return (await self._connection.execute(query)).mappings().all()

    async def request_cancel(self, execution_id: UUID) -> tuple[CancelResult, RowMapping]:
        """Close a queued execution together with its outbox row, or note the request for a started one.

        The caller adds the outbox entry for REQUESTED and TERMINATE. Raises NotFound.
        """
        locked = select(WorkflowExecution.id).where(WorkflowExecution.id == execution_id).with_for_update()
        if await self._connection.scalar(locked) is None:
            raise NotFound
        row = await self.get(execution_id)
        if ExecutionStatus(row["status"]).is_terminal:
            return CancelResult.TERMINAL, row
        if row["cancel_requested_at"] is not None:
            again = await self._connection.scalar(_CANCELLED_AGAIN, {"execution_id": execution_id})
            return CancelResult.TERMINATE if again else CancelResult.ALREADY_REQUESTED, row
        closed = await self._connection.scalar(_CLOSE_QUEUED, {"execution_id": execution_id})
        result = CancelResult.CLOSED if closed else CancelResult.REQUESTED
        if not closed:
            await self._connection.execute(
                update(WorkflowExecution)
                .where(WorkflowExecution.id == execution_id)
                .values(cancel_requested_at=func.now())
            )
        row = await self.get(execution_id)
        if closed:
            await answer(self._connection, row)
        return result, row


def cancellation(row: RowMapping, reason: str, result: CancelResult) -> OutboxEntry:
    """The word to the engine for what `request_cancel` found."""
    terminates = result is CancelResult.TERMINATE
    return OutboxEntry(
        id=derived_id(f"{row['id']}/{'terminate' if terminates else 'cancel'}"),
        organization_id=row["organization_id"],
        execution_id=row["id"],
        kind=OutboxKind.CANCEL,
        workflow_id=row["temporal_workflow_id"],
        payload={"reason": reason, **({"terminate": True} if terminates else {})},
    )


#: Within 5 s it is the same request: a double click, or an answer that was lost.
_CANCELLED_AGAIN = text(
    """
    SELECT cancel_requested_at < now() - interval '5 seconds'
       AND NOT EXISTS (SELECT 1 FROM outbox WHERE execution_id = :execution_id AND kind = 'cancel'
                       AND payload ? 'terminate')
    FROM workflow_executions WHERE id = :execution_id
    """
)

#: One statement for what must never exist apart.
_QUEUE = text(
    """
    WITH queued AS (
        INSERT INTO workflow_executions
            (id, organization_id, workflow_id, workflow_version_id, kind, trigger_event, trigger_data, trigger_key,
             temporal_workflow_id, started_by, execution_context, started_at,
             parent_id, parent_occurrence, root_id, depth, is_awaited)
        VALUES (:id, :organization_id, :workflow_id, :workflow_version_id, :kind, :trigger_event,
                CAST(:trigger_data AS jsonb), :trigger_key, :temporal_workflow_id, :started_by,
                CAST(:context AS jsonb), NULL,
                :parent_id, :parent_occurrence, :root_id, :depth, :is_awaited)
        ON CONFLICT (organization_id, trigger_key) WHERE trigger_key IS NOT NULL DO NOTHING
        RETURNING id, organization_id, temporal_workflow_id
    )
    INSERT INTO outbox (id, organization_id, execution_id, kind, workflow_id, payload)
    SELECT :start_id, organization_id, id, :start_kind, temporal_workflow_id, CAST(:payload AS jsonb) FROM queued
    RETURNING execution_id
    """
)

#: A queued execution is closed here only while nobody holds the lease of its start; otherwise it may be starting
#: right now, and the cancellation follows it to Temporal.
_CLOSE_QUEUED = text(
    f"""
    WITH unsent AS (
        SELECT id FROM outbox
        WHERE execution_id = :execution_id AND kind = 'start' AND dispatched_at IS NULL AND leased_until < now()
        FOR UPDATE SKIP LOCKED
    ), withdrawn AS (
        UPDATE outbox SET dispatched_at = now(), last_error = 'cancelled before the start'
        WHERE id IN (SELECT id FROM unsent) RETURNING id
    ),
    closed AS (
        UPDATE workflow_executions
        SET status = 'cancelled', completed_at = now(), cancel_requested_at = now(),
            error_message = 'Cancelled before it started'
        WHERE id = :execution_id AND status = 'queued' AND EXISTS (SELECT 1 FROM withdrawn)
        RETURNING *
    ),
    {OUTCOME}
    SELECT id FROM closed
    """  # noqa: S608 - assembled from constants only
)

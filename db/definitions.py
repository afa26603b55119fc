"""Stored definitions, their frozen versions and what starts them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    Index,
    RowMapping,
    Text,
    UniqueConstraint,
    bindparam,
    insert,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import (
    Base,
    CreatedAt,
    Id,
    JsonList,
    JsonObject,
    No,
    Tenant,
    UpdatedAt,
    UserRef,
    Words,
    Yes,
    one_of,
    tenant_key,
    within,
)
from db.rows import Before, change, containing, many, newest_first, one, unchanged
from db.tenants import Membership
from domain.definitions.lifecycle import DefinitionStatus, Visibility
from domain.errors import Invalid, Problem, Stale
from domain.executions import TriggerType


class Workflow(Tenant, Base):
    """A definition being edited; executions run one of its versions, never this row."""

    __tablename__ = "workflows"
    __table_args__ = (
        tenant_key(),
        within("template_id", "workflows"),
        within("published_version_id", "workflow_versions", use_alter=True),
        Index(None, "organization_id", "created_at", "id"),
        Index(None, "organization_id", "template_id"),
        Index(
            "active_workflows_idx",
            "organization_id",
            postgresql_where=text("status = 'active'"),
        ),
        Index(
            "uq_workflows_process",
            "organization_id",
            "process",
            unique=True,
            postgresql_where=text("process IS NOT NULL"),
        ),
        Index(
            "uq_workflows_gallery",
            "organization_id",
            "gallery",
            unique=True,
            postgresql_where=text("gallery IS NOT NULL"),
        ),
        CheckConstraint(
            "created_by IS NOT NULL OR process IS NOT NULL OR gallery IS NOT NULL", name="created_by_known"
        ),
        CheckConstraint(
            "gallery IS NULL OR (is_template AND process IS NULL AND status = 'draft')", name="gallery"
        ),
        one_of("status", DefinitionStatus),
        one_of("visibility", Visibility),
        CheckConstraint("revision > 0", name="revision"),
    )

    id: Mapped[Id]
    name: Mapped[str]
    description: Mapped[str | None]
    category: Mapped[str | None]
    definition: Mapped[JsonObject]
    layout: Mapped[JsonObject]
    triggers: Mapped[JsonList]
    actions: Mapped[JsonList]
    is_template: Mapped[No]
    template_id: Mapped[UUID | None]
    variables: Mapped[JsonObject]
    status: Mapped[str] = mapped_column(server_default=DefinitionStatus.DRAFT)
    #: The number that publishing will give to what is being edited.
    version: Mapped[int] = mapped_column(server_default="1")
    published_version_id: Mapped[UUID | None]
    #: Grows with every write; the ETag.
    revision: Mapped[int] = mapped_column(server_default="1")
    visibility: Mapped[str] = mapped_column(server_default=Visibility.PRIVATE)
    #: The team of the definition: ids of members.
    assigned_users: Mapped[Words]
    #: Which of the product's own processes this is (`domain/processes`); nobody edits or lists it.
    process: Mapped[str | None]
    #: Which shipped template this row stands for, so that workflows can name where they came from (`db/gallery.py`);
    #: nobody edits or lists it either.
    gallery: Mapped[str | None]
    created_by: Mapped[UserRef | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class WorkflowVersion(Tenant, Base):
    """What was published, frozen: no role may update it."""

    __tablename__ = "workflow_versions"
    __table_args__ = (
        tenant_key(),
        within("workflow_id", "workflows", ondelete="CASCADE"),
        UniqueConstraint("organization_id", "workflow_id", "number"),
        Index("ix_workflow_versions_document", "organization_id", "document_namespace", "document_name"),
        CheckConstraint("number > 0", name="number"),
    )

    id: Mapped[Id]
    workflow_id: Mapped[UUID]
    number: Mapped[int]
    document: Mapped[JsonObject] = mapped_column(server_default=None)
    compiled: Mapped[JsonObject] = mapped_column(server_default=None)
    sha256: Mapped[str]
    #: How other workflows name it, as its document says.
    document_namespace: Mapped[str | None] = mapped_column(Computed("document #>> '{document,namespace}'"))
    document_name: Mapped[str | None] = mapped_column(Computed("document #>> '{document,name}'"))
    document_version: Mapped[str | None] = mapped_column(Computed("document #>> '{document,version}'"))
    #: Nobody where the version came with a release of the product.
    published_by: Mapped[UserRef | None]
    created_at: Mapped[CreatedAt]


class Trigger(Tenant, Base):
    __tablename__ = "triggers"
    __table_args__ = (
        tenant_key(),
        within("workflow_id", "workflows", ondelete="CASCADE"),
        UniqueConstraint("organization_id", "workflow_id", "name"),
        Index(
            "ix_triggers_of_events",
            "organization_id",
            postgresql_where=text("type = 'event' AND is_active"),
        ),
        one_of("type", TriggerType),
    )

    id: Mapped[Id]
    workflow_id: Mapped[UUID]
    type: Mapped[str]
    name: Mapped[str]
    configuration: Mapped[JsonObject]
    is_active: Mapped[Yes]
    #: All types of events that an event trigger can take; None: any type.
    event_types: Mapped[list[str] | None] = mapped_column(ARRAY(Text()))
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


_HIDDEN = frozenset({"process", "gallery"})
_WORKFLOW = tuple(column for column in Workflow.__table__.c if column.name not in _HIDDEN)
#: What a list shows: everything but the documents.
_SUMMARY = tuple(
    column
    for column in _WORKFLOW
    if column.name
    not in {
        "definition",
        "layout",
        "triggers",
        "actions",
        "variables",
        "assigned_users",
    }
)
_VERSION = tuple(
    column for column in WorkflowVersion.__table__.c if column.name not in {"document", "compiled"}
)

_OURS = Workflow.process.is_(None) & Workflow.gallery.is_(None)

#: On the hot path of every start, so it is made once.
_STANDING = select(Workflow.status, Workflow.published_version_id).where(
    Workflow.id == bindparam("id"), _OURS
)


@dataclass(frozen=True, slots=True)
class WorkflowFilters:
    status: str | None = None
    category: str | None = None
    q: str | None = None


class Workflows:
    """The stored workflows of the organization the transaction belongs to; not what came with the product."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def insert(self, id: UUID, values: Mapping[str, Any]) -> RowMapping:
        """Store a draft; `values` hold columns of `workflows`. All columns afterwards.

        Raises Invalid when one of `assigned_users` is nobody here.
        """
        await self._require_members(values)
        return one(await self._tx.execute(insert(Workflow).values(id=id, **values).returning(*_WORKFLOW)))

    async def get(self, id: UUID) -> RowMapping:
        """All columns; raises NotFound."""
        return one(await self._tx.execute(select(*_WORKFLOW).where(Workflow.id == id, _OURS)))

    async def standing(self, id: UUID) -> tuple[str, UUID | None]:
        """Status and current version, all that starting an execution has to read; raises NotFound."""
        row = one(await self._tx.execute(_STANDING, {"id": id}))
        return row["status"], row["published_version_id"]

    async def lock(self, id: UUID) -> RowMapping:
        """As `get`, holding the row until the transaction ends."""
        return one(
            await self._tx.execute(select(*_WORKFLOW).where(Workflow.id == id, _OURS).with_for_update())
        )

    async def page(
        self, filters: WorkflowFilters, *, before: Before | None, limit: int
    ) -> Sequence[RowMapping]:
        """Newest first, after the row `before`, without documents; `q` is looked for in both texts."""
        statement = newest_first(
            select(*_SUMMARY).where(_OURS), Workflow.created_at, Workflow.id, before
        ).limit(limit)
        if filters.status is not None:
            statement = statement.where(Workflow.status == filters.status)
        if filters.category is not None:
            statement = statement.where(Workflow.category == filters.category)
        if filters.q:
            statement = statement.where(containing(filters.q, Workflow.name, Workflow.description))
        return await many(self._tx, statement)

    async def change(self, id: UUID, values: Mapping[str, Any], *, revision: int | None = None) -> RowMapping:
        """Write `values`, if `revision` is still the current one; raises NotFound, Stale, Invalid as `insert`."""
        await self._require_members(values)
        seen = unchanged(Workflow.revision, None if revision is None else literal(revision, BigInteger))
        try:
            return await change(
                self._tx, Workflow, id, _OURS & seen, {**values, "revision": Workflow.revision + 1}
            )
        except Stale:
            await self.get(id)  # a process is not there for anybody
            raise

    async def _require_members(self, values: Mapping[str, Any]) -> None:
        """Ids in an array have no foreign key."""
        wanted = values.get("assigned_users") or []
        if not wanted:
            return
        known = select(Membership.user_id).where(Membership.user_id.in_([UUID(each) for each in wanted]))
        members = {str(id) for id in await self._tx.scalars(known)}
        problems = [
            Problem(
                f"#/assigned_users/{place}",
                "There is no member with this id in your organization.",
                "Send the id of one.",
            )
            for place, each in enumerate(wanted)
            if each not in members
        ]
        if problems:
            raise Invalid(problems=problems)


class Versions:
    """Published versions: written once, never changed."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def insert(self, values: Mapping[str, Any]) -> RowMapping:
        """Freeze a version; `values` hold columns of `workflow_versions`. Its facts without the documents."""
        return one(await self._tx.execute(insert(WorkflowVersion).values(**values).returning(*_VERSION)))

    async def summary(self, id: UUID) -> RowMapping:
        """The facts of a version without its documents; raises NotFound."""
        return one(await self._tx.execute(select(*_VERSION).where(WorkflowVersion.id == id)))

    async def get(self, workflow_id: UUID, number: int) -> RowMapping:
        """All columns; raises NotFound."""
        statement = select(WorkflowVersion).where(
            WorkflowVersion.workflow_id == workflow_id, WorkflowVersion.number == number
        )
        return one(await self._tx.execute(statement))

    async def find(self, id: UUID) -> RowMapping:
        """All columns; raises NotFound."""
        return one(await self._tx.execute(select(WorkflowVersion).where(WorkflowVersion.id == id)))

    async def numbers(self, ids: Collection[UUID]) -> dict[UUID, int]:
        """The number of each of these versions."""
        statement = select(WorkflowVersion.id, WorkflowVersion.number).where(WorkflowVersion.id.in_(ids))
        return {row["id"]: row["number"] for row in await many(self._tx, statement)}

    async def page(self, workflow_id: UUID, *, before: Before | None, limit: int) -> Sequence[RowMapping]:
        """Newest first, after the row `before`, without documents."""
        statement = select(*_VERSION).where(WorkflowVersion.workflow_id == workflow_id).limit(limit)
        return await many(
            self._tx, newest_first(statement, WorkflowVersion.created_at, WorkflowVersion.id, before)
        )


async def named(tx: AsyncConnection, version_id: UUID) -> RowMapping:
    """What people call a version: `name` of its workflow and `number`. Raises NotFound."""
    statement = (
        select(Workflow.name, WorkflowVersion.number)
        .join(Workflow, Workflow.id == WorkflowVersion.workflow_id)
        .where(WorkflowVersion.id == version_id)
    )
    return one(await tx.execute(statement))

"""Stored definitions, their frozen versions and what starts them."""

from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
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
from domain.definitions.lifecycle import DefinitionStatus, Visibility
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
    assigned_users: Mapped[Words]
    created_by: Mapped[UserRef]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class WorkflowVersion(Tenant, Base):
    """What was published, frozen: no role may update it."""

    __tablename__ = "workflow_versions"
    __table_args__ = (
        tenant_key(),
        within("workflow_id", "workflows", ondelete="CASCADE"),
        UniqueConstraint("organization_id", "workflow_id", "number"),
        CheckConstraint("number > 0", name="number"),
    )

    id: Mapped[Id]
    workflow_id: Mapped[UUID]
    number: Mapped[int]
    document: Mapped[JsonObject] = mapped_column(server_default=None)
    compiled: Mapped[JsonObject] = mapped_column(server_default=None)
    sha256: Mapped[str]
    published_by: Mapped[UserRef]
    created_at: Mapped[CreatedAt]


class Trigger(Tenant, Base):
    __tablename__ = "triggers"
    __table_args__ = (
        tenant_key(),
        within("workflow_id", "workflows", ondelete="CASCADE"),
        UniqueConstraint("organization_id", "workflow_id", "name"),
        one_of("type", TriggerType),
    )

    id: Mapped[Id]
    workflow_id: Mapped[UUID]
    type: Mapped[str]
    name: Mapped[str]
    configuration: Mapped[JsonObject]
    is_active: Mapped[Yes]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]

"""AI agents: which there are, which an organization installed, who may use them, and what was said."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import (
    Base,
    CreatedAt,
    Id,
    JsonObject,
    No,
    Tenant,
    UpdatedAt,
    UserRef,
    Words,
    Yes,
    one_of,
    tenant_key,
)
from domain.agents import AgentCategory, MessageRole, ModelProvider, PricingModel
from domain.permissions import RoleName


class Agent(Base):
    """An agent of the marketplace. Members see the published ones, and those their organization installed."""

    __tablename__ = "ai_agents"
    __table_args__ = (
        one_of("category", AgentCategory),
        one_of("provider", ModelProvider),
        one_of("default_scope", RoleName),
        one_of("pricing_model", PricingModel),
        CheckConstraint("pricing_model <> 'free' OR subscription_min_plan = 'free'", name="free_of_charge"),
        CheckConstraint("frontend_entry LIKE '/%'", name="frontend_entry"),
        CheckConstraint("backend_entry ~ '^[a-z][a-z0-9_.-]*$'", name="backend_entry"),
    )

    id: Mapped[Id]
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    description: Mapped[str | None]
    category: Mapped[str]
    provider: Mapped[str] = mapped_column(server_default=ModelProvider.OPENAI)
    capabilities: Mapped[Words]
    #: Where its page is, below the console's address.
    frontend_entry: Mapped[str]
    #: Its name in the registry of agents, never a path of code.
    backend_entry: Mapped[str]
    subscription_min_plan: Mapped[str] = mapped_column(
        ForeignKey("subscription_plans.slug"), server_default="free"
    )
    #: The least role whose members use it without a grant of their own.
    default_scope: Mapped[str] = mapped_column(server_default=RoleName.ADMIN)
    pricing_model: Mapped[str] = mapped_column(server_default=PricingModel.FREE)
    configuration: Mapped[JsonObject]
    icon_path: Mapped[str | None]
    version: Mapped[str] = mapped_column(server_default="1.0.0")
    tags: Mapped[Words]
    is_published: Mapped[No]
    is_pre_installed: Mapped[No]
    created_by: Mapped[UserRef | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class OrganizationAgent(Tenant, Base):
    """An agent an organization installed; switched off it stays installed."""

    __tablename__ = "organization_agents"
    __table_args__ = (tenant_key(), UniqueConstraint("organization_id", "agent_slug"))

    id: Mapped[Id]
    agent_slug: Mapped[str] = mapped_column(ForeignKey("ai_agents.slug"))
    is_enabled: Mapped[Yes]
    configuration: Mapped[JsonObject]
    custom_name: Mapped[str | None]
    access_restrictions: Mapped[JsonObject]
    installed_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    installed_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    last_used_at: Mapped[datetime | None]


class AgentAccess(Tenant, Base):
    """Whether one member may use one installed agent, whatever their role says; it ends with the membership."""

    __tablename__ = "user_agent_access"
    __table_args__ = (
        tenant_key(),
        UniqueConstraint("user_id", "organization_id", "agent_slug"),
        Index(None, "organization_id", "agent_slug"),
        Index(None, "organization_id", "user_id"),
        ForeignKeyConstraint(
            ["organization_id", "user_id"],
            ["user_organizations.organization_id", "user_organizations.user_id"],
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(
            ["organization_id", "agent_slug"],
            ["organization_agents.organization_id", "organization_agents.agent_slug"],
            ondelete="CASCADE",
        ),
        CheckConstraint("expires_at > granted_at", name="expires_at"),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID]
    agent_slug: Mapped[str]
    is_granted: Mapped[Yes]
    granted_by: Mapped[UserRef | None]
    granted_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    expires_at: Mapped[datetime | None]


class AgentSession(Tenant, Base):
    """A conversation of one member with one agent; the trigger `member_only` refuses anybody else's."""

    __tablename__ = "agent_sessions"
    __table_args__ = (
        tenant_key(),
        UniqueConstraint("organization_id", "session_id"),
        Index(None, "organization_id", "user_id", "created_at", "id"),
        CheckConstraint("char_length(session_id) BETWEEN 1 AND 255", name="session_id"),
        CheckConstraint("char_length(title) <= 500", name="title"),
    )

    id: Mapped[Id]
    agent_slug: Mapped[str] = mapped_column(ForeignKey("ai_agents.slug"))
    session_id: Mapped[str]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str | None]
    title: Mapped[str | None]
    session_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB(), server_default=text("'{}'"))
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class AgentMessage(Tenant, Base):
    """One message of a conversation, in the order of `seq`."""

    __tablename__ = "agent_messages"
    __table_args__ = (
        tenant_key(),
        UniqueConstraint("organization_id", "session_id", "seq"),
        ForeignKeyConstraint(
            ["organization_id", "session_id"],
            ["agent_sessions.organization_id", "agent_sessions.session_id"],
            ondelete="CASCADE",
        ),
        one_of("role", MessageRole),
        CheckConstraint("seq > 0", name="seq"),
    )

    id: Mapped[Id]
    session_id: Mapped[str]
    seq: Mapped[int] = mapped_column(BigInteger)
    role: Mapped[str]
    content: Mapped[str]
    message_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB(), server_default=text("'{}'"))
    created_at: Mapped[CreatedAt]

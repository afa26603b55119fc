"""What supervision found between the mirror and Temporal, and when it was mended."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Id, Tenant, one_of, tenant_key, within
from domain.mirror import Mismatch


class Reconciliation(Tenant, Base):
    """One finding. `detail` is a sentence for people; `mended_at` is empty while nothing could be done."""

    __tablename__ = "reconciliations"
    __table_args__ = (
        tenant_key(),
        within("execution_id", "workflow_executions", ondelete="CASCADE"),
        Index(None, "organization_id", "execution_id"),
        Index(None, "organization_id", "found_at"),
        one_of("found", Mismatch),
    )

    id: Mapped[Id]
    execution_id: Mapped[UUID]
    found: Mapped[str]
    detail: Mapped[str]
    found_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    mended_at: Mapped[datetime | None]

"""Which row of the customer's earlier platform became which of ours: an import that is run again goes on."""

from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt


class LegacyId(Base):
    """Ids only. No role of the application may read it."""

    __tablename__ = "legacy_ids"
    __table_args__ = (UniqueConstraint("source_table", "id"),)

    source_table: Mapped[str] = mapped_column(primary_key=True)
    source_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID]
    imported_at: Mapped[CreatedAt]

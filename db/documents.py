"""Documents of an organization: where their bytes lie, which version counts, and who may do what with them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.elements import conv

from db.base import (
    Base,
    CreatedAt,
    Id,
    JsonList,
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
from domain.documents import DocumentAccess, DocumentVisibility, SignatureStatus


class Folder(Tenant, Base):
    __tablename__ = "folders"
    __table_args__ = (
        tenant_key(),
        within("parent_id", "folders"),
        UniqueConstraint("organization_id", "parent_id", "name", postgresql_nulls_not_distinct=True),
        CheckConstraint("parent_id <> id", name="parent_id"),
    )

    id: Mapped[Id]
    parent_id: Mapped[UUID | None]
    name: Mapped[str]
    created_by: Mapped[UserRef | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Document(Tenant, Base):
    """One version of a document.

    `parent_document_id` is the first version, whose own is empty: the foreign key says so by `parent_version`,
    which is 1 or nothing.
    """

    __tablename__ = "documents"
    __table_args__ = (
        tenant_key(),
        UniqueConstraint("organization_id", "id", "version"),
        within("folder_id", "folders"),
        within("client_id", "clients"),
        ForeignKeyConstraint(
            ["organization_id", "parent_document_id", "parent_version"],
            ["documents.organization_id", "documents.id", "documents.version"],
            name="fk_documents_parent_document_id",
        ),
        UniqueConstraint("organization_id", "parent_document_id", "parent_version", "version"),
        Index(None, "organization_id", "folder_id"),
        Index(None, "organization_id", "client_id"),
        Index(None, "organization_id", "created_at", "id"),
        Index(None, "organization_id", "file_hash"),
        Index("documents_metadata_gin_idx", "metadata", postgresql_using="gin"),
        CheckConstraint("file_size > 0", name=conv("positive_file_size")),
        CheckConstraint("file_hash ~ '^[0-9a-f]{64}$'", name="file_hash"),
        CheckConstraint("version > 0 AND (version = 1) = (parent_document_id IS NULL)", name="version"),
        one_of("signature_status", SignatureStatus),
    )

    id: Mapped[Id]
    folder_id: Mapped[UUID | None]
    filename: Mapped[str]
    original_filename: Mapped[str]
    file_path: Mapped[str]
    file_size: Mapped[int] = mapped_column(BigInteger)
    mime_type: Mapped[str]
    #: SHA-256 in hexadecimal; equal files are found within the organization only.
    file_hash: Mapped[str | None]
    document_type: Mapped[str | None]
    tags: Mapped[Words]
    visibility: Mapped[DocumentVisibility] = mapped_column(
        Enum(
            DocumentVisibility,
            name="document_visibility",
            values_callable=lambda kind: [each.value for each in kind],
        ),
        server_default=DocumentVisibility.PRIVATE,
    )
    client_id: Mapped[UUID | None]
    description: Mapped[str | None]
    document_metadata: Mapped[dict[str, Any]] = mapped_column(
        "metadata", JSONB(), server_default=text("'{}'")
    )
    version: Mapped[int] = mapped_column(server_default="1")
    parent_document_id: Mapped[UUID | None]
    parent_version: Mapped[int | None] = mapped_column(
        Computed("CASE WHEN parent_document_id IS NOT NULL THEN 1 ELSE NULL::integer END")
    )
    is_current_version: Mapped[Yes]
    #: By its owner, before it came here; what we seal ourselves names its key in its own bytes.
    is_encrypted: Mapped[No]
    encryption_key_id: Mapped[str | None]
    signature_status: Mapped[str] = mapped_column(server_default=SignatureStatus.NONE)
    signatures: Mapped[JsonList]
    uploaded_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


_document = Document.__table__.c
Index(
    "uq_documents_current_version",
    _document.organization_id,
    func.coalesce(_document.parent_document_id, _document.id),
    unique=True,
    postgresql_where=_document.is_current_version,
)


class DocumentPermission(Tenant, Base):
    """One person, one client or one role may do one thing with one document."""

    __tablename__ = "document_permissions"
    __table_args__ = (
        tenant_key(),
        within("document_id", "documents", ondelete="CASCADE"),
        within("client_id", "clients"),
        UniqueConstraint(
            "organization_id",
            "document_id",
            "permission_type",
            "user_id",
            "client_id",
            "role_id",
            name="uq_document_permissions_grant",
            postgresql_nulls_not_distinct=True,
        ),
        Index(None, "organization_id", "client_id"),
        Index(None, "organization_id", "user_id"),
        CheckConstraint("num_nonnulls(user_id, client_id, role_id) = 1", name="one_grantee"),
        one_of("permission_type", DocumentAccess),
    )

    id: Mapped[Id]
    document_id: Mapped[UUID]
    #: A member: the trigger `member_only` refuses anybody else.
    user_id: Mapped[UserRef | None]
    client_id: Mapped[UUID | None]
    #: A shipped role or one of the same organization, as for memberships.
    role_id: Mapped[UUID | None] = mapped_column(ForeignKey("roles.id"))
    permission_type: Mapped[str]
    granted_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    expires_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]

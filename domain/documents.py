"""The closed sets of documents."""

from enum import StrEnum


class DocumentVisibility(StrEnum):
    """Who sees a document besides its uploader and whom a permission names; PostgreSQL's `document_visibility`.

    Nothing leaves the organization by it: `public` is public among its members, clients included.
    """

    PRIVATE = "private"
    #: Every member but clients.
    TEAM = "team"
    #: The team; of members who are clients those whom a permission names.
    CLIENT = "client"
    PUBLIC = "public"


class SignatureStatus(StrEnum):
    NONE = "none"
    PENDING = "pending"
    SIGNED = "signed"


class DocumentAccess(StrEnum):
    """What a permission allows."""

    VIEW = "view"
    EDIT = "edit"
    DELETE = "delete"
    SHARE = "share"

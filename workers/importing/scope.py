"""What is known while the rows of one organization, or of none, are converted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any
from uuid import UUID

from db.tenants import SHIPPED_ROLES
from domain.permissions import RoleName
from workers.importing.keys import ImportKeys
from workers.importing.report import Report
from workers.importing.source import Source
from workers.importing.values import Unfit

#: Names of roles as platforms like the customer's have them; nobody gets more than the name says.
ROLES: Mapping[str, RoleName] = {
    "owner": RoleName.OWNER,
    "founder": RoleName.OWNER,
    "org_owner": RoleName.OWNER,
    "admin": RoleName.ADMIN,
    "administrator": RoleName.ADMIN,
    "org_admin": RoleName.ADMIN,
    "manager": RoleName.MANAGER,
    "supervisor": RoleName.MANAGER,
    "team_lead": RoleName.MANAGER,
    "member": RoleName.MEMBER,
    "user": RoleName.MEMBER,
    "staff": RoleName.MEMBER,
    "employee": RoleName.MEMBER,
    "team_member": RoleName.MEMBER,
    "reviewer": RoleName.REVIEWER,
    "approver": RoleName.REVIEWER,
    "client": RoleName.CLIENT,
    "customer": RoleName.CLIENT,
    "guest": RoleName.CLIENT,
    "auditor": RoleName.AUDITOR,
    "viewer": RoleName.AUDITOR,
    "read_only": RoleName.AUDITOR,
    "readonly": RoleName.AUDITOR,
}


class Roles:
    """Roles of the source by their id; one whose name says nothing to us belongs to nobody until it is told."""

    def __init__(self, names: Mapping[str, str], told: Mapping[str, RoleName]) -> None:
        self._names = names
        self._told = {key(name): role for name, role in told.items()}

    def of(self, source_id: str | None) -> RoleName:
        """Raises Unfit."""
        name = self._names.get(source_id or "")
        if name is None:
            raise Unfit("the role it names does not exist", "Name a role that exists.")
        role = self._told.get(key(name)) or ROLES.get(key(name))
        if role is None:
            raise Unfit(
                f"the role {name!r} means nothing here",
                f"Import with --role {key(name)}=member, or another of ours.",
            )
        return role

    def id_of(self, source_id: str | None) -> UUID:
        return SHIPPED_ROLES[self.of(source_id)]


def key(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


@dataclass
class Scope:
    """`ids` holds what is here already, by table and by the id in the source."""

    source: Source
    report: Report
    zone: tzinfo
    roles: Roles
    keys: ImportKeys
    users: Mapping[str, UUID]
    organization_id: UUID
    source_organization: str | None = None
    ids: dict[str, dict[str, UUID]] = field(default_factory=dict)
    #: Who belongs to the organization.
    members: set[UUID] = field(default_factory=set)
    #: What rules remember from one row to the next.
    notes: dict[str, Any] = field(default_factory=dict)

    def here(self, table: str) -> dict[str, UUID]:
        return self.ids.setdefault(table, {})

    async def reference(self, parent: str, source_id: str) -> UUID:
        """Our id of the row that the source calls so. Raises Unfit."""
        found = self.users.get(source_id) if parent == "users" else self.here(parent).get(source_id)
        if found is not None:
            return found
        if parent == "roles":
            return self.roles.id_of(source_id)
        what = parent.removesuffix("s").replace("_", " ")
        if self.source.has(parent) and self.source.has(parent, "organization_id"):
            home = await self.source.all(
                f'SELECT organization_id FROM "{parent}" WHERE id = $1',  # noqa: S608  a table of ours
                source_id,
            )
            if home and home[0]["organization_id"] != self.source_organization:
                raise Unfit(
                    f"it names a {what} of another organization",
                    f"Let it name a {what} of its own organization, or NULL.",
                )
            if home:
                raise Unfit(f"the {what} it names was refused", f"Mend the {what}; this row follows then.")
        raise Unfit(f"it names a {what} that does not exist", f"Let it name a {what} that exists, or NULL.")

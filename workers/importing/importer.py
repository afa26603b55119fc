"""One import from its first row to its report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.exc import DBAPIError

from db.definitions import Workflow, WorkflowVersion
from db.identity import User
from db.keys import NamedKey
from db.subscriptions import SubscriptionPlan
from db.tenants import PLATFORM, SHIPPED_ROLES, Membership, Organization
from domain.actions import Catalogue
from domain.definitions.publishing import publish
from domain.permissions import RoleName
from domain.tenants import MembershipStatus
from workers.importing import layout, rules
from workers.importing.ids import new_id
from workers.importing.keys import ImportKeys
from workers.importing.layout import Part
from workers.importing.report import Report
from workers.importing.rows import Converter, Misfit
from workers.importing.scope import Roles, Scope
from workers.importing.source import Row, Source
from workers.importing.target import Pending, Target, Writing, told
from workers.importing.values import Unfit

#: What an imported execution ran: nothing that this engine could run again.
HISTORY: Mapping[str, Any] = {"do": [{"imported": {"set": {"from": "the earlier platform"}}}]}


class ImportIncomplete(Exception):
    """Rows were neither imported nor reported: a defect of the importer. What was committed stays and is right."""


@dataclass
class Import:
    """Brings everything over, one transaction per organization; run again, it goes on."""

    source: Source
    target: Target
    masters: Sequence[NamedKey]
    zone: tzinfo
    told_roles: Mapping[str, RoleName] = field(default_factory=dict)
    say: Callable[[str], None] = lambda _: None
    report: Report = field(default_factory=Report)
    users: dict[str, UUID] = field(default_factory=dict)
    #: What belongs to no organization and is named by what does: plans.
    shared: dict[str, dict[str, UUID]] = field(default_factory=dict)
    roles: Roles = field(default_factory=lambda: Roles({}, {}))
    _rows: int = 0

    async def run(self) -> Report:
        """Raises ImportIncomplete when numbers do not add up."""
        await self._prepare()
        await self._globally("users", layout.PEOPLE)
        await self._globally("user_mfa", layout.FACTORS)
        await self._globally("subscription_plans", layout.PLANS)
        await self._globally("ai_agents", layout.AGENTS)
        organizations = await self._organizations()
        for number, (id, name) in enumerate(organizations, start=1):
            self.say(f"organization {number} of {len(organizations)}")
            await self._organization(id, name)
        await self._homeless()
        if missing := self.report.missing():
            raise ImportIncomplete("; ".join(missing))
        return self.report

    async def _prepare(self) -> None:
        self._note_what_has_no_place()
        for table in sorted(layout.KNOWN - {"roles"} - layout.LEFT_BEHIND.keys()):
            if self.source.has(table):
                self.report.of(table).source = await self.source.count(table)
        if self.source.has("users", "organization_id"):
            where = 't."organization_id" IS NOT NULL'
            self.report.of("users.organization_id").source = await self.source.count("users", where)
        for table, (reason, mend) in layout.LEFT_BEHIND.items():
            if self.source.has(table) and (rows := await self.source.count(table)):
                self.report.of(table).source = self.report.of(table).refused = rows
                self.report.note(table, f"{rows} rows stay behind: {reason}", mend)
        if self.source.has("roles", "name"):
            names = {
                str(row["id"]): str(row["name"])
                for row in await self.source.all("SELECT id, name FROM roles")
            }
            self.roles = Roles(names, self.told_roles)

    def _note_what_has_no_place(self) -> None:
        for table in sorted(self.source.columns.keys() - layout.KNOWN):
            self.report.note(
                table, "the table has no place here", "Bring over by hand what is still needed of it."
            )

    async def _globally(self, table: str, converter: Converter) -> None:
        """Rows of no organization; what is sealed of them is sealed for the platform's."""
        if not self.source.has(table):
            return
        scope_notes: dict[str, Any] = {}
        order = [
            f't."{name}" {how} NULLS LAST'
            for name, how in (("is_active", "DESC"), ("created_at", ""))
            if self.source.has(table, name)
        ]
        query = (
            f'SELECT {self.source.selected(table)} FROM "{table}" t '  # noqa: S608  a table of ours
            f"ORDER BY {', '.join([*order, 't.id'])}"
        )
        async for batch in self.source.batches(query):
            async with self.target.transaction(PLATFORM) as writing:
                fresh = Report()
                scope = self._scope(fresh, PLATFORM, writing, notes=scope_notes)
                if table == "subscription_plans":
                    await self._shipped_plans(scope, writing, batch)
                added = await self._write(scope, writing, table, converter, batch)
                self.shared.setdefault(table, {}).update(added)
                if table == "users":
                    self.users.update(added)
            self._committed(fresh, len(batch), table)
        self._dropped(scope_notes)

    async def _shipped_plans(self, scope: Scope, writing: Writing, batch: Sequence[Row]) -> None:
        """A plan that has the name of one of ours is that one."""
        columns = (SubscriptionPlan.id, SubscriptionPlan.slug, SubscriptionPlan.rank)
        plans = (await writing.connection.execute(select(*columns))).all()
        ours = {plan.slug: plan.id for plan in plans}
        scope.notes.setdefault("rank", max((plan.rank for plan in plans), default=0))
        known = await writing.known("subscription_plans", [str(row["id"]) for row in batch])
        taken = set(known.values())
        pairs = []
        for row in batch:
            slug = str(row.get("slug") or row.get("name") or "").strip().lower()
            if str(row["id"]) not in known and slug in ours and ours[slug] not in taken:
                taken.add(ours[slug])
                pairs.append(("subscription_plans", str(row["id"]), ours[slug]))
        await writing.remember(pairs)

    def _dropped(self, notes: Mapping[str, Any]) -> None:
        for name, told_, mend in (
            ("email_verification_token", "tokens to verify an e-mail address", "People ask for a new one."),
            ("password_reset_token", "tokens to reset a password", "People ask for a new one."),
            ("backup_codes", "people's backup codes", "They make new ones after signing in."),
        ):
            if count := notes.get(name):
                table = "user_mfa" if name == "backup_codes" else "users"
                self.report.note(
                    table, f"{told_} stay behind, of {count} people: they were stored in the clear", mend
                )

    async def _organizations(self) -> list[tuple[str, str]]:
        if not self.source.has("organizations"):
            return []
        order = "created_at NULLS LAST, id" if self.source.has("organizations", "created_at") else "id"
        rows = await self.source.all(f"SELECT id, name FROM organizations ORDER BY {order}")  # noqa: S608
        return [(str(row["id"]), str(row["name"])) for row in rows]

    async def _organization(self, source_id: str, name: str) -> None:
        fresh = Report()
        id = new_id("organizations", source_id)
        async with self.target.transaction(id) as writing:
            scope = self._scope(fresh, id, writing, source_organization=source_id)
            query = f"SELECT {self.source.selected('organizations')} FROM organizations t WHERE id = $1"  # noqa: S608
            row = await self.source.all(query, source_id)
            here = await self._write(scope, writing, "organizations", layout.ORGANIZATION, row)
            if here and not await writing.connection.scalar(
                select(Organization.id).where(Organization.id == id)
            ):
                # It came in an earlier run and was erased since: nobody asked for it to come back.
                reason, mend = "its organization was erased here", "Nothing: it was meant to go."
                fresh.note("organizations", "it was erased here after it had come", mend, source_id)
                await self._refused_with(scope, [layout.MEMBERSHIPS, *layout.PARTS], reason, mend)
            elif here:
                await scope.keys.settle()
                await self._members(scope, writing)
                for part in layout.PARTS:
                    await self._part(scope, writing, part, name)
            else:
                await self._refused_with(scope, [layout.MEMBERSHIPS, *layout.PARTS])
        self._committed(fresh, 0, "")

    def _scope(self, report: Report, id: UUID, writing: Writing, **more: Any) -> Scope:
        shared = {table: dict(ids) for table, ids in self.shared.items() if table != "users"}
        keys = ImportKeys(writing.connection, self.masters)
        return Scope(self.source, report, self.zone, self.roles, keys, self.users, id, ids=shared, **more)

    async def _part(self, scope: Scope, writing: Writing, part: Part, name: str) -> None:
        if not self.source.has(part.table):
            return
        query = part.query(self.source, f"{part.home()} = $1")
        if part.table == "workflow_executions":
            await self._versions(scope, writing, name)
        async for batch in self.source.batches(query, scope.source_organization):
            await self._write(scope, writing, part.table, part.converter, batch)
            self._tell(len(batch), part.table)

    async def _write(
        self, scope: Scope, writing: Writing, table: str, converter: Converter, rows: Sequence[Row]
    ) -> dict[str, UUID]:
        """Converts and inserts; returns what is here of these rows now, also from an earlier run."""
        known = await writing.known(table, [str(row["id"]) for row in rows])
        here, pending = scope.here(table), []
        here.update(known)
        scope.report.of(table).known += len(known)
        found = dict(known)
        for row in rows:
            if str(row["id"]) in known:
                self._remind(scope, table, row, known[str(row["id"])])
                continue
            try:
                if "depth" in row and row["depth"] is None:
                    raise Misfit(None, "its parents form a circle", "Let one of them have no parent.")
                made = await converter.pending(scope, row)
            except Misfit as misfit:
                scope.report.refuse(table, str(row["id"]), misfit.column, misfit.reason, misfit.mend)
                continue
            pending.append(made)
            # A row further down the batch may name this one; the database refuses it should this be refused.
            here[made.source_id] = made.values["id"]
        refused: list[tuple[Pending, DBAPIError]] = []
        taken = await writing.add(table, pending, lambda row, error: refused.append((row, error)))
        for row, error in refused:
            here.pop(row.source_id, None)
            if table == "users" and await self._second_chance(scope, writing, row, error):
                taken.append(row)
                here[row.source_id] = row.values["id"]
                continue
            column, reason, mend = told(table, error)
            scope.report.refuse(table, row.source_id, column, reason, mend)
        scope.report.of(table).imported += len(taken)
        return found | {row.source_id: row.values["id"] for row in taken}

    def _remind(self, scope: Scope, table: str, row: Row, id: UUID) -> None:
        """What rows that came in an earlier run mean for those that come now."""
        if table == "agent_sessions":
            scope.notes.setdefault("sessions", set()).add(str(row["session_id"]))
        if table == "contacts" and row.get("is_primary"):
            scope.notes.setdefault("primary", set()).add(scope.here("clients").get(str(row.get("client_id"))))

    async def _second_chance(self, scope: Scope, writing: Writing, row: Pending, error: DBAPIError) -> bool:
        """Of two people with one address, or one name, the older account keeps it; the other one is not lost."""
        constraint = str(getattr(getattr(error.orig, "__cause__", None), "constraint_name", ""))
        if "email" in constraint:
            rules.withdraw(row.values)
            scope.report.change(
                "users", row.source_id, "email", "another account has this address in other letters; nobody signs "
                "in with this one", "Decide whose the address is; give the other account one of its own.",
            )  # fmt: skip
        elif "username" in constraint:
            row.values["username"] = f"{row.values['username']}-{row.values['id'].hex[:8]}"
            scope.report.change(
                "users", row.source_id, "username", "another account has this name in other letters; it has a suffix "
                "now", "Let the person choose another name.",
            )  # fmt: skip
        else:
            return False
        again: list[DBAPIError] = []
        taken = await writing.add("users", [row], lambda _, error: again.append(error))
        if again and constraint != str(
            getattr(getattr(again[0].orig, "__cause__", None), "constraint_name", "")
        ):
            return await self._second_chance(scope, writing, row, again[0])
        return bool(taken)

    async def _members(self, scope: Scope, writing: Writing) -> None:
        """Memberships as they stand, then those that only `users.organization_id` tells of."""
        part = layout.MEMBERSHIPS
        if self.source.has(part.table):
            async for batch in self.source.batches(
                part.query(self.source, f"{part.home()} = $1"), scope.source_organization
            ):
                await self._write(scope, writing, part.table, part.converter, batch)
        await self._members_by_column(scope, writing)
        rows = (await writing.connection.execute(
            select(Membership.user_id, Membership.role_id, Membership.status, Membership.created_at)
            .order_by(Membership.created_at)
        )).all()  # fmt: skip
        scope.members = {row.user_id for row in rows}
        await self._owner(scope, writing, rows)
        await self._defaults(scope, writing)

    async def _members_by_column(self, scope: Scope, writing: Writing) -> None:
        """The customer's own script: whoever has an organization becomes an active member of it, by their role."""
        if not self.source.has("users", "organization_id"):
            return
        count = scope.report.of("users.organization_id")
        query = 'SELECT t.id, t.role_id, t.created_at::text FROM users t WHERE t."organization_id" = $1 ORDER BY t.id'
        async for batch in self.source.batches(query, scope.source_organization):
            present = set(await writing.connection.scalars(select(Membership.user_id)))
            ids = [f"users.organization_id/{row['id']}" for row in batch]
            known = await writing.known("user_organizations", ids)
            for row, source_id in zip(batch, ids, strict=True):
                user_id = self.users.get(str(row["id"]))
                if user_id in present or source_id in known:
                    count.known += 1
                    continue
                await self._member(scope, writing, row, source_id, user_id)

    async def _member(
        self, scope: Scope, writing: Writing, row: Row, source_id: str, user_id: UUID | None
    ) -> None:
        def refuse(column: str, reason: str, mend: str) -> None:
            scope.report.refuse("users.organization_id", str(row["id"]), column, reason, mend)

        if user_id is None:
            refuse("organization_id", "the user was refused", "Mend the user.")
            return
        try:
            role_id = self.roles.id_of(None if row["role_id"] is None else str(row["role_id"]))
        except Unfit as unfit:
            refuse("role_id", unfit.reason, unfit.mend)
            return
        converter = layout.MEMBERSHIPS.converter
        made = await converter.pending(
            scope,
            {"id": source_id, "user_id": str(row["id"]), "role_id": str(row["role_id"]), "status": "active",
             "joined_at": row["created_at"]},
        )  # fmt: skip
        made.values["role_id"] = role_id
        failed: list[DBAPIError] = []
        if await writing.add("user_organizations", [made], lambda _, error: failed.append(error)):
            scope.report.of("users.organization_id").imported += 1
        else:
            refuse("organization_id", *told("user_organizations", failed[0])[1:])

    async def _owner(self, scope: Scope, writing: Writing, rows: Sequence[Any]) -> None:
        """An organization has an owner: where none was, who made it, else whoever administers it longest."""
        active = [row for row in rows if row.status == MembershipStatus.ACTIVE]
        owner, admin = SHIPPED_ROLES[RoleName.OWNER], SHIPPED_ROLES[RoleName.ADMIN]
        if any(row.role_id == owner for row in active):
            return
        made = await self.source.all(
            "SELECT created_by FROM organizations WHERE id = $1", scope.source_organization
        ) if self.source.has("organizations", "created_by") else []  # fmt: skip
        founder = self.users.get(str(made[0]["created_by"])) if made else None
        candidates = [row for row in active if row.user_id == founder] + [
            row for row in active if row.role_id == admin
        ]
        if not candidates:
            scope.report.note(
                "organizations", "nobody is its owner", "Name an owner among its members.",
                scope.source_organization,
            )  # fmt: skip
            return
        chosen = candidates[0].user_id
        await writing.connection.execute(
            update(Membership).where(Membership.user_id == chosen).values(role_id=owner)
        )
        scope.report.note(
            "organizations", "nobody was its owner; who made or administers it is now",
            "Transfer the ownership if somebody else should have it.", scope.source_organization,
        )  # fmt: skip

    async def _defaults(self, scope: Scope, writing: Writing) -> None:
        if not self.source.has("users", "default_organization_id"):
            return
        query = "SELECT t.id FROM users t WHERE t.default_organization_id = $1"
        async for batch in self.source.batches(query, scope.source_organization):
            for row in batch:
                user_id = self.users.get(str(row["id"]))
                if user_id is None:
                    continue
                if user_id not in scope.members:
                    scope.report.change(
                        "users", str(row["id"]), "default_organization_id",
                        "the person is no member of that organization", "Make them a member, or leave it.",
                    )  # fmt: skip
                    continue
                await writing.connection.execute(
                    update(User)
                    .where(User.id == user_id, User.default_organization_id.is_(None))
                    .values(default_organization_id=scope.organization_id)
                )

    async def _versions(self, scope: Scope, writing: Writing, name: str) -> None:
        """Executions of the earlier platform hang on a version that says that it was that."""
        tx = writing.connection
        found = await tx.execute(select(WorkflowVersion.workflow_id, WorkflowVersion.id))
        present = {row.workflow_id: row.id for row in found}
        scope.notes["versions"] = present
        rows = await self.source.all(
            "SELECT DISTINCT e.workflow_id FROM workflow_executions e WHERE e.organization_id = $1",
            scope.source_organization,
        )
        frozen = publish(dict(HISTORY), name="imported", namespace="imported", catalogue=Catalogue([]))
        for row in rows:
            id = scope.here("workflows").get(str(row["workflow_id"]))
            if id is None or id in present:
                continue
            present[id] = new_id("workflow_versions", f"{row['workflow_id']}/1")
            await tx.execute(
                insert(WorkflowVersion).values(
                    id=present[id],
                    organization_id=scope.organization_id,
                    workflow_id=id,
                    number=1,
                    document=frozen.document,
                    compiled=frozen.compiled,
                    sha256=frozen.sha256,
                )
            )
            await tx.execute(update(Workflow).where(Workflow.id == id).values(version=2))

    async def _refused_with(
        self,
        scope: Scope,
        parts: Sequence[Part],
        reason: str = "its organization was refused",
        mend: str = "Mend the organization.",
    ) -> None:
        """Nothing comes of an organization that does not come itself; each row is told of."""
        for part in parts:
            if self.source.has(part.table):
                rows = await self.source.all(
                    f'SELECT t.id FROM "{part.table}" t WHERE {part.home()} = $1',  # noqa: S608
                    scope.source_organization,
                )
                for row in rows:
                    scope.report.refuse(part.table, str(row["id"]), "organization_id", reason, mend)
        if self.source.has("users", "organization_id"):
            query = "SELECT t.id FROM users t WHERE t.organization_id = $1"
            for row in await self.source.all(query, scope.source_organization):
                scope.report.refuse("users.organization_id", str(row["id"]), "organization_id", reason, mend)

    async def _homeless(self) -> None:
        """Rows that no organization was asked for: its id leads nowhere."""
        tables = [(part.table, part.home()) for part in (layout.MEMBERSHIPS, *layout.PARTS)]
        if self.source.has("users", "organization_id"):
            tables.append(("users.organization_id", 't."organization_id"'))
        for table, home in tables:
            if not self.source.has(table.partition(".")[0]):
                continue
            where = f"NOT EXISTS (SELECT FROM organizations o WHERE o.id = {home})"
            if table == "users.organization_id":
                where += ' AND t."organization_id" IS NOT NULL'
            query = f'SELECT t.id FROM "{table.partition(".")[0]}" t WHERE {where}'  # noqa: S608
            for row in await self.source.all(query):
                self.report.refuse(table, str(row["id"]), "organization_id", "its organization does not exist",
                                   "Let it name one that exists.")  # fmt: skip

    def _committed(self, fresh: Report, rows: int, table: str) -> None:
        self.report.merge(fresh)
        self._tell(rows, table)

    def _tell(self, rows: int, table: str) -> None:
        """Every 500 rows or more."""
        before, self._rows = self._rows // 500, self._rows + rows
        if self._rows // 500 > before:
            self.say(f"{self._rows} rows; now {table}")

"""The tables of the earlier layout in the order in which they come, and how the rows of an organization are found."""

from dataclasses import dataclass, field

from workers.importing import rules
from workers.importing.rows import Converter
from workers.importing.source import Source

SECRET = frozenset(
    {
        "email_verification_token",
        "email_verification_token_expiry",
        "password_reset_token",
        "password_reset_token_expiry",
    }
)


@dataclass(frozen=True)
class Part:
    """One table. `through` is the parent that knows the organization where the table itself does not."""

    table: str
    converter: Converter
    #: (column of this table, parent, column of the parent)
    through: tuple[str, str, str] | None = None
    #: The column that names another row of the same table.
    parent: str | None = None
    order: tuple[str, ...] = ("created_at",)
    #: Further columns of the query.
    extra: tuple[str, ...] = field(default=())

    def home(self) -> str:
        """The SQL of the organization a row `t` belongs to."""
        if self.through is None:
            return 't."organization_id"'
        column, parent, key = self.through
        return f'(SELECT p.organization_id FROM "{parent}" p WHERE p."{key}" = t."{column}")'  # noqa: S608

    def query(self, source: Source, where: str) -> str:
        """Rows `t`, parents before their children; `depth` is NULL where parents form a circle."""
        order = [f't."{name}" NULLS LAST' for name in self.order if source.has(self.table, name)]
        columns = ", ".join([source.selected(self.table), *self.extra])
        if self.parent is None or not source.has(self.table, self.parent):
            ordered = ", ".join([*order, "t.id"])
            return f'SELECT {columns} FROM "{self.table}" t WHERE {where} ORDER BY {ordered}'  # noqa: S608
        up, table = self.parent, self.table
        return (
            f"WITH RECURSIVE chain AS ("  # noqa: S608  names of ours, quoted
            f'SELECT t.id, 0 AS depth, t.id AS root FROM "{table}" t WHERE {where} AND NOT EXISTS '
            f'(SELECT FROM "{table}" p WHERE p.id = t."{up}" AND p.organization_id = t.organization_id) '
            f'UNION ALL SELECT t.id, chain.depth + 1, chain.root FROM "{table}" t '
            f'JOIN chain ON t."{up}" = chain.id WHERE {where}) '
            f'SELECT {columns}, chain.depth AS depth, chain.root AS root FROM "{table}" t '
            f"LEFT JOIN chain ON chain.id = t.id WHERE {where} "
            f"ORDER BY {', '.join(['chain.depth NULLS LAST', *order, 't.id'])}"
        )


#: Of nobody in particular.
PEOPLE = Converter(
    "users",
    rules.user,
    skipped=SECRET,
    lenient=frozenset(
        {"date_of_birth", "kyc_status", "kyc_verified_at", "email_verified_at", "phone_verified_at", "created_at",
         "updated_at"}
    ),
    rules_own=frozenset({"role_id", "username", "email", "password", "default_organization_id"}),
)  # fmt: skip
FACTORS = Converter(
    "user_mfa", rules.user_mfa, lenient=frozenset({"last_verified", "created_at", "updated_at"}),
    rules_own=frozenset({"totp_secret", "mfa_enforced", "last_timecode"}),
)  # fmt: skip
PLANS = Converter("subscription_plans", rules.plan, rules_own=frozenset({"slug", "name", "rank"}))
AGENTS = Converter(
    "ai_agents", rules.agent, lenient=frozenset({"created_by", "default_scope", "pricing_model", "provider"}),
    rules_own=frozenset({"slug", "frontend_entry", "backend_entry", "subscription_min_plan", "is_published"}),
)  # fmt: skip
ORGANIZATION = Converter(
    "organizations", rules.organization,
    lenient=frozenset({"company_size", "verification_level", "created_by", "created_at", "updated_at"}),
)  # fmt: skip
MEMBERSHIPS = Part(
    "user_organizations",
    Converter(
        "user_organizations", rules.membership,
        lenient=frozenset({"invited_by", "joined_at", "last_active_at", "permissions_override"}),
    ),
)  # fmt: skip
#: Everything else of an organization, parents first.
PARTS = (
    Part(
        "clients",
        Converter(
            "clients", rules.client, lenient=frozenset({"assigned_manager", "communication_preferences"})
        ),
    ),
    Part("contacts", Converter("contacts", rules.contact)),
    Part("folders", Converter("folders"), parent="parent_id"),
    Part(
        "documents",
        Converter("documents", rules.document),
        parent="parent_document_id",
    ),
    Part(
        "document_permissions",
        Converter("document_permissions"),
        through=("document_id", "documents", "id"),
    ),
    Part("workflows", Converter("workflows", rules.workflow), parent="template_id"),
    Part(
        "workflow_executions",
        Converter(
            "workflow_executions",
            rules.execution,
            lenient=frozenset({"started_by"}),
            rules_own=frozenset({"status", "progress"}),
        ),
        order=("started_at",),
    ),
    Part("organization_agents", Converter("organization_agents"), order=("installed_at",)),
    Part(
        "user_agent_access",
        Converter("user_agent_access", lenient=frozenset({"granted_by"})),
        order=("granted_at",),
    ),
    Part("agent_sessions", Converter("agent_sessions", rules.session)),
    Part(
        "agent_messages",
        Converter("agent_messages", rules.message, skipped=frozenset({"organization_id"})),
        through=("session_id", "agent_sessions", "session_id"),
        order=("session_id", "created_at"),
        extra=(
            "row_number() OVER (PARTITION BY t.session_id ORDER BY t.created_at NULLS LAST, t.id) AS seq",
        ),
    ),
    Part("platform_subscriptions", Converter("platform_subscriptions"), order=("current_period_end",)),
    Part(
        "payment_gateway_configs",
        Converter("payment_gateway_configs", rules.gateway, rules_own=frozenset({"credentials"})),
    ),
)
#: Read for what they mean, or left behind; nobody counts their rows as imported.
LEFT_BEHIND = {
    "trusted_devices": (
        "a fingerprint of a browser proves nothing",
        "People trust their devices anew when they next sign in.",
    ),
    "activity_logs": (
        "its rows hold whole rows of other tables, password hashes among them",
        "Keep the earlier database for as long as its log must be kept.",
    ),
}
KNOWN = frozenset(
    {"users", "user_mfa", "subscription_plans", "ai_agents", "organizations", "user_organizations", "roles"}
    | {part.table for part in PARTS}
    | LEFT_BEHIND.keys()
)

"""isolation: what each role may do to each table, and whose rows it sees while doing it"""

from alembic import op

from migrations.ddl import OURS, as_owner, granted, isolated, policy, run, touched

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

#: Tables whose every row belongs to one organization.
TENANT_TABLES = (
    "activity_logs",
    "api_keys",
    "clients",
    "contacts",
    "effects",
    "encryption_keys",
    "execution_steps",
    "idempotency_keys",
    "outbox",
    "tasks",
    "triggers",
    "user_organizations",
    "workflow_executions",
    "workflow_versions",
    "workflows",
)

#: Tables with rules of their own, below.
OTHER_TABLES = ("organizations", "roles", "sessions", "users")

#: What app_system may read across organizations, and so what definer functions can touch. Nothing else.
SYSTEM_TABLES = (
    "api_keys",
    "encryption_keys",
    "idempotency_keys",
    "organizations",
    "outbox",
    "roles",
    "sessions",
    "user_organizations",
    "users",
    "workflow_executions",
)

#: Columns of users that leave the database through no SELECT: definer functions compare or return them.
PROFILE = (
    "id, username, email, first_name, last_name, phone, country_code, email_verified, email_verified_at, "
    "email_verification_token_expiry, password_reset_token_expiry, phone_verified, phone_verified_at, "
    "avatar_url, date_of_birth, national_id_type, address, city, state, zip_code, country, "
    "emergency_contact_name, emergency_contact_phone, emergency_contact_relation, id_document_url, "
    "address_proof_url, kyc_status, kyc_verified_at, kyc_rejection_reason, role_id, default_organization_id, "
    "is_active, created_at, updated_at"
)
#: What people may change about themselves: neither their platform role nor what was verified about them.
OWN_PROFILE = (
    "username, first_name, last_name, phone, country_code, avatar_url, date_of_birth, address, city, state, "
    "zip_code, country, emergency_contact_name, emergency_contact_phone, emergency_contact_relation, "
    "default_organization_id, updated_at"
)
ORGANIZATION_PROFILE = (
    "name, slug, domain, description, logo_url, website, industry, company_size, phone, address, city, state, "
    "zip_code, country, timezone, tax_id, registration_number, settings, updated_at"
)
SESSION = (
    "id, user_id, family_id, csrf_sha256, active_organization_id, user_agent, ip_address, created_at, "
    "expires_at, rotated_at, revoked_at"
)
API_KEY = (
    "id, organization_id, user_id, name, key_id, scopes, created_at, expires_at, last_used_at, revoked_at"
)

GRANTS = {
    "activity_logs": {"app_api": "SELECT, INSERT", "app_worker": "SELECT, INSERT"},
    "api_keys": {
        "app_api": f"SELECT ({API_KEY}), INSERT, UPDATE (name, scopes, expires_at, last_used_at, revoked_at)",
        "app_system": "SELECT",
    },
    "clients": {"app_api": "SELECT, INSERT, UPDATE, DELETE", "app_worker": "SELECT, INSERT, UPDATE"},
    "contacts": {"app_api": "SELECT, INSERT, UPDATE, DELETE", "app_worker": "SELECT, INSERT, UPDATE"},
    "effects": {"app_api": "SELECT", "app_worker": "SELECT, INSERT, UPDATE"},
    "encryption_keys": {
        "app_api": "SELECT",
        "app_worker": "SELECT",
        "app_system": "SELECT, INSERT, UPDATE",
    },
    "execution_steps": {"app_api": "SELECT", "app_worker": "SELECT, INSERT, UPDATE"},
    "idempotency_keys": {"app_api": "SELECT, INSERT, UPDATE, DELETE", "app_system": "SELECT, DELETE"},
    "organizations": {
        "app_api": f"SELECT, UPDATE ({ORGANIZATION_PROFILE})",
        "app_worker": "SELECT",
        "app_system": "SELECT, INSERT",
    },
    "outbox": {
        "app_api": "SELECT, INSERT, UPDATE",
        "app_worker": "SELECT, INSERT, UPDATE",
        "app_system": "SELECT, UPDATE",
    },
    "roles": {"app_api": "SELECT", "app_worker": "SELECT", "app_system": "SELECT"},
    "sessions": {
        "app_api": f"SELECT ({SESSION}), UPDATE (active_organization_id, revoked_at)",
        "app_system": "SELECT, INSERT, UPDATE",
    },
    "tasks": {"app_api": "SELECT, UPDATE", "app_worker": "SELECT, INSERT, UPDATE"},
    "triggers": {"app_api": "SELECT, INSERT, UPDATE, DELETE", "app_worker": "SELECT"},
    "user_organizations": {
        "app_api": "SELECT, INSERT, UPDATE, DELETE",
        "app_worker": "SELECT",
        "app_system": "SELECT, INSERT",
    },
    "users": {
        "app_api": f"SELECT ({PROFILE}), UPDATE ({OWN_PROFILE})",
        "app_worker": f"SELECT ({PROFILE})",
        "app_system": "SELECT, INSERT, UPDATE (password, default_organization_id)",
    },
    "workflow_executions": {
        "app_api": "SELECT, INSERT, UPDATE",
        "app_worker": "SELECT, INSERT, UPDATE",
        "app_system": "SELECT, UPDATE",
    },
    "workflow_versions": {"app_api": "SELECT, INSERT", "app_worker": "SELECT"},
    "workflows": {"app_api": "SELECT, INSERT, UPDATE, DELETE", "app_worker": "SELECT"},
}

COLLEAGUE = f"id IN (SELECT user_id FROM user_organizations WHERE {OURS} AND status = 'active')"  # noqa: S608 - constants only

POLICIES = (
    *(policy("tenant", table) for table in TENANT_TABLES),
    "CREATE POLICY tenant ON organizations TO app_api, app_worker "
    "USING (id = (SELECT app.org())) WITH CHECK (id = (SELECT app.org()))",
    f"CREATE POLICY tenant ON roles FOR SELECT TO app_api, app_worker "
    f"USING (organization_id IS NULL OR {OURS})",
    "CREATE POLICY self ON users TO app_api, app_worker "
    "USING (id = (SELECT app.me())) WITH CHECK (id = (SELECT app.me()))",
    # Reads memberships, whose own policy reads no other table: no recursion.
    f"CREATE POLICY colleague ON users FOR SELECT TO app_api, app_worker USING ({COLLEAGUE})",
    "CREATE POLICY self ON sessions TO app_api "
    "USING (user_id = (SELECT app.me())) WITH CHECK (user_id = (SELECT app.me()))",
    *(policy("system", table) for table in SYSTEM_TABLES),
)

TOUCHED = (
    "clients",
    "contacts",
    "organizations",
    "roles",
    "tasks",
    "triggers",
    "user_organizations",
    "users",
    "workflow_executions",
    "workflows",
)

#: A role is shared or the organization's own. A foreign key cannot say "or", so these triggers do.
ROLE_GUARDS = (
    """
    CREATE FUNCTION app.own_role() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NOT EXISTS (
        SELECT FROM public.roles
        WHERE id = NEW.role_id AND (organization_id IS NULL OR organization_id = NEW.organization_id)
      ) THEN
        RAISE foreign_key_violation USING
          MESSAGE = 'the role of a membership is a shipped one or one of the same organization',
          CONSTRAINT = 'own_role', TABLE = 'user_organizations';
      END IF;
      RETURN NEW;
    END $$
    """,
    """
    CREATE FUNCTION app.shipped_role() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NOT EXISTS (SELECT FROM public.roles WHERE id = NEW.role_id AND organization_id IS NULL) THEN
        RAISE foreign_key_violation USING
          MESSAGE = 'the platform role of a user is a shipped one',
          CONSTRAINT = 'shipped_role', TABLE = 'users';
      END IF;
      RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER own_role BEFORE INSERT OR UPDATE OF role_id, organization_id ON user_organizations
    FOR EACH ROW EXECUTE FUNCTION app.own_role()
    """,
    """
    CREATE TRIGGER shipped_role BEFORE INSERT OR UPDATE OF role_id ON users
    FOR EACH ROW EXECUTE FUNCTION app.shipped_role()
    """,
)


@as_owner()
def upgrade() -> None:
    run(isolated(*TENANT_TABLES, *OTHER_TABLES, "activity_logs_default"))
    run(POLICIES)
    run(granted(GRANTS))
    run(map(touched, TOUCHED))
    run(ROLE_GUARDS)


@as_owner()
def downgrade() -> None:
    op.execute("DROP FUNCTION app.own_role() CASCADE")
    op.execute("DROP FUNCTION app.shipped_role() CASCADE")
    for table in TOUCHED:
        op.execute(f"DROP TRIGGER touch ON {table}")
    for made in POLICIES:
        name, table = made.split()[2], made.split()[4]
        op.execute(f"DROP POLICY {name} ON {table}")
    for table in (*TENANT_TABLES, *OTHER_TABLES, "activity_logs_default"):
        op.execute(f"REVOKE ALL ON {table} FROM app_api, app_worker, app_system")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")

"""customer schema: plans, subscriptions, gateways, agents, folders, documents"""

from alembic import op

from migrations.ddl import OURS, TENANT, as_owner, as_system, granted, isolated, policy, run, touched

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TABLES = """
CREATE TYPE subscription_status AS ENUM ('active', 'cancelled', 'expired', 'suspended', 'trial');

CREATE TYPE document_visibility AS ENUM ('private', 'team', 'client', 'public');

CREATE TABLE subscription_plans (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  slug text NOT NULL,
  name text NOT NULL,
  description text,
  features jsonb DEFAULT '[]' NOT NULL,
  limits jsonb DEFAULT '{}' NOT NULL,
  monthly_price numeric(10, 2),
  yearly_price numeric(10, 2),
  currency text DEFAULT 'USD' NOT NULL,
  trial_days integer DEFAULT '0' NOT NULL,
  rank integer NOT NULL,
  is_published boolean DEFAULT false NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_subscription_plans PRIMARY KEY (id),
  CONSTRAINT uq_subscription_plans_slug UNIQUE (slug),
  CONSTRAINT uq_subscription_plans_rank UNIQUE (rank),
  CONSTRAINT ck_subscription_plans_price CHECK (monthly_price >= 0 AND yearly_price >= 0),
  CONSTRAINT ck_subscription_plans_trial_days CHECK (trial_days >= 0)
);

CREATE TABLE platform_subscriptions (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  plan_id uuid NOT NULL,
  plan_name text NOT NULL,
  plan_features jsonb DEFAULT '[]' NOT NULL,
  monthly_price numeric(10, 2),
  yearly_price numeric(10, 2),
  currency text DEFAULT 'USD' NOT NULL,
  billing_cycle text DEFAULT 'monthly' NOT NULL,
  status subscription_status DEFAULT 'active' NOT NULL,
  trial_end timestamptz,
  current_period_start timestamptz DEFAULT now() NOT NULL,
  current_period_end timestamptz NOT NULL,
  next_billing_date timestamptz,
  stripe_subscription_id text,
  stripe_customer_id text,
  razorpay_subscription_id text,
  razorpay_customer_id text,
  users_count integer DEFAULT '0' NOT NULL,
  storage_used_gb numeric(10, 2) DEFAULT '0' NOT NULL,
  api_calls_count bigint DEFAULT '0' NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  cancelled_at timestamptz,
  CONSTRAINT pk_platform_subscriptions PRIMARY KEY (id),
  CONSTRAINT uq_platform_subscriptions_id UNIQUE (organization_id, id),
  CONSTRAINT uq_platform_subscriptions_stripe_subscription_id UNIQUE (stripe_subscription_id),
  CONSTRAINT uq_platform_subscriptions_razorpay_subscription_id UNIQUE (razorpay_subscription_id),
  CONSTRAINT valid_billing_cycle CHECK (billing_cycle IN ('monthly', 'yearly')),
  CONSTRAINT ck_platform_subscriptions_period CHECK (current_period_end > current_period_start),
  CONSTRAINT ck_platform_subscriptions_price CHECK (monthly_price >= 0 AND yearly_price >= 0),
  CONSTRAINT ck_platform_subscriptions_usage
    CHECK (users_count >= 0 AND storage_used_gb >= 0 AND api_calls_count >= 0),
  CONSTRAINT fk_platform_subscriptions_plan_id FOREIGN KEY (plan_id) REFERENCES subscription_plans (id),
  CONSTRAINT fk_platform_subscriptions_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE
);

CREATE INDEX ix_platform_subscriptions_plan_id ON platform_subscriptions (organization_id, plan_id);

CREATE UNIQUE INDEX uq_platform_subscriptions_live ON platform_subscriptions (organization_id)
  WHERE status IN ('active', 'trial');

CREATE INDEX ix_platform_subscriptions_next_billing_date ON platform_subscriptions (next_billing_date);

CREATE TABLE payment_gateway_configs (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  gateway text NOT NULL,
  nickname text,
  credentials bytea NOT NULL,
  config jsonb DEFAULT '{}' NOT NULL,
  is_active boolean DEFAULT true NOT NULL,
  is_default boolean DEFAULT false NOT NULL,
  is_test_mode boolean DEFAULT false NOT NULL,
  created_by uuid NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_payment_gateway_configs PRIMARY KEY (id),
  CONSTRAINT uq_payment_gateway_configs_id UNIQUE (organization_id, id),
  CONSTRAINT ck_payment_gateway_configs_gateway CHECK (gateway IN ('razorpay', 'stripe', 'payu')),
  CONSTRAINT ck_payment_gateway_configs_default_is_active CHECK (is_active OR NOT is_default),
  CONSTRAINT fk_payment_gateway_configs_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE,
  CONSTRAINT fk_payment_gateway_configs_created_by FOREIGN KEY (created_by) REFERENCES users (id)
);

CREATE UNIQUE INDEX uq_payment_gateway_configs_default ON payment_gateway_configs (organization_id)
  WHERE is_default;

CREATE TABLE ai_agents (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  slug text NOT NULL,
  name text NOT NULL,
  description text,
  category text NOT NULL,
  provider text DEFAULT 'openai' NOT NULL,
  capabilities text[] DEFAULT '{}' NOT NULL,
  frontend_entry text NOT NULL,
  backend_entry text NOT NULL,
  subscription_min_plan text DEFAULT 'free' NOT NULL,
  default_scope text DEFAULT 'admin' NOT NULL,
  pricing_model text DEFAULT 'free' NOT NULL,
  configuration jsonb DEFAULT '{}' NOT NULL,
  icon_path text,
  version text DEFAULT '1.0.0' NOT NULL,
  tags text[] DEFAULT '{}' NOT NULL,
  is_published boolean DEFAULT false NOT NULL,
  is_pre_installed boolean DEFAULT false NOT NULL,
  created_by uuid,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_ai_agents PRIMARY KEY (id),
  CONSTRAINT uq_ai_agents_slug UNIQUE (slug),
  CONSTRAINT ck_ai_agents_category CHECK (category IN ('assistant', 'workflow', 'accounting')),
  CONSTRAINT ck_ai_agents_provider CHECK (provider IN ('openai', 'anthropic', 'azure-openai')),
  CONSTRAINT ck_ai_agents_default_scope
    CHECK (default_scope IN ('owner', 'admin', 'manager', 'member', 'reviewer', 'client', 'auditor')),
  CONSTRAINT ck_ai_agents_pricing_model CHECK (pricing_model IN ('free', 'included', 'metered')),
  CONSTRAINT ck_ai_agents_free_of_charge CHECK (pricing_model <> 'free' OR subscription_min_plan = 'free'),
  CONSTRAINT ck_ai_agents_frontend_entry CHECK (frontend_entry LIKE '/%'),
  CONSTRAINT ck_ai_agents_backend_entry CHECK (backend_entry ~ '^[a-z][a-z0-9_.-]*$'),
  CONSTRAINT fk_ai_agents_subscription_min_plan FOREIGN KEY (subscription_min_plan)
    REFERENCES subscription_plans (slug),
  CONSTRAINT fk_ai_agents_created_by FOREIGN KEY (created_by) REFERENCES users (id)
);

CREATE TABLE organization_agents (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  agent_slug text NOT NULL,
  is_enabled boolean DEFAULT true NOT NULL,
  configuration jsonb DEFAULT '{}' NOT NULL,
  custom_name text,
  access_restrictions jsonb DEFAULT '{}' NOT NULL,
  installed_by uuid NOT NULL,
  installed_at timestamptz DEFAULT now() NOT NULL,
  last_used_at timestamptz,
  CONSTRAINT pk_organization_agents PRIMARY KEY (id),
  CONSTRAINT uq_organization_agents_id UNIQUE (organization_id, id),
  CONSTRAINT uq_organization_agents_agent_slug UNIQUE (organization_id, agent_slug),
  CONSTRAINT fk_organization_agents_agent_slug FOREIGN KEY (agent_slug) REFERENCES ai_agents (slug),
  CONSTRAINT fk_organization_agents_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE,
  CONSTRAINT fk_organization_agents_installed_by FOREIGN KEY (installed_by) REFERENCES users (id)
);

CREATE TABLE user_agent_access (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  agent_slug text NOT NULL,
  is_granted boolean DEFAULT true NOT NULL,
  granted_by uuid,
  granted_at timestamptz DEFAULT now() NOT NULL,
  expires_at timestamptz,
  CONSTRAINT pk_user_agent_access PRIMARY KEY (id),
  CONSTRAINT uq_user_agent_access_id UNIQUE (organization_id, id),
  CONSTRAINT uq_user_agent_access_user_id_agent_slug UNIQUE (user_id, organization_id, agent_slug),
  CONSTRAINT ck_user_agent_access_expires_at CHECK (expires_at > granted_at),
  CONSTRAINT fk_user_agent_access_user_id FOREIGN KEY (organization_id, user_id)
    REFERENCES user_organizations (organization_id, user_id) ON DELETE CASCADE,
  CONSTRAINT fk_user_agent_access_agent_slug FOREIGN KEY (organization_id, agent_slug)
    REFERENCES organization_agents (organization_id, agent_slug) ON DELETE CASCADE,
  CONSTRAINT fk_user_agent_access_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE,
  CONSTRAINT fk_user_agent_access_granted_by FOREIGN KEY (granted_by) REFERENCES users (id)
);

CREATE INDEX ix_user_agent_access_user_id ON user_agent_access (organization_id, user_id);

CREATE INDEX ix_user_agent_access_agent_slug ON user_agent_access (organization_id, agent_slug);

CREATE TABLE agent_sessions (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  agent_slug text NOT NULL,
  session_id text NOT NULL,
  user_id uuid NOT NULL,
  name text,
  title text,
  metadata jsonb DEFAULT '{}' NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_agent_sessions PRIMARY KEY (id),
  CONSTRAINT uq_agent_sessions_id UNIQUE (organization_id, id),
  CONSTRAINT uq_agent_sessions_session_id UNIQUE (organization_id, session_id),
  CONSTRAINT ck_agent_sessions_session_id CHECK (char_length(session_id) BETWEEN 1 AND 255),
  CONSTRAINT ck_agent_sessions_title CHECK (char_length(title) <= 500),
  CONSTRAINT fk_agent_sessions_agent_slug FOREIGN KEY (agent_slug) REFERENCES ai_agents (slug),
  CONSTRAINT fk_agent_sessions_user_id FOREIGN KEY (user_id) REFERENCES users (id),
  CONSTRAINT fk_agent_sessions_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE
);

CREATE INDEX ix_agent_sessions_user_id_created_at_id
  ON agent_sessions (organization_id, user_id, created_at, id);

CREATE TABLE agent_messages (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  session_id text NOT NULL,
  seq bigint NOT NULL,
  role text NOT NULL,
  content text NOT NULL,
  metadata jsonb DEFAULT '{}' NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_agent_messages PRIMARY KEY (id),
  CONSTRAINT uq_agent_messages_id UNIQUE (organization_id, id),
  CONSTRAINT uq_agent_messages_session_id_seq UNIQUE (organization_id, session_id, seq),
  CONSTRAINT ck_agent_messages_role CHECK (role IN ('system', 'user', 'assistant', 'tool')),
  CONSTRAINT ck_agent_messages_seq CHECK (seq > 0),
  CONSTRAINT fk_agent_messages_session_id FOREIGN KEY (organization_id, session_id)
    REFERENCES agent_sessions (organization_id, session_id) ON DELETE CASCADE,
  CONSTRAINT fk_agent_messages_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE
);

CREATE TABLE folders (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  parent_id uuid,
  name text NOT NULL,
  created_by uuid,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_folders PRIMARY KEY (id),
  CONSTRAINT uq_folders_id UNIQUE (organization_id, id),
  CONSTRAINT uq_folders_parent_id_name UNIQUE NULLS NOT DISTINCT (organization_id, parent_id, name),
  CONSTRAINT ck_folders_parent_id CHECK (parent_id <> id),
  CONSTRAINT fk_folders_parent_id FOREIGN KEY (organization_id, parent_id)
    REFERENCES folders (organization_id, id),
  CONSTRAINT fk_folders_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE,
  CONSTRAINT fk_folders_created_by FOREIGN KEY (created_by) REFERENCES users (id)
);

CREATE TABLE documents (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  folder_id uuid,
  filename text NOT NULL,
  original_filename text NOT NULL,
  file_path text NOT NULL,
  file_size bigint NOT NULL,
  mime_type text NOT NULL,
  file_hash text,
  document_type text,
  tags text[] DEFAULT '{}' NOT NULL,
  visibility document_visibility DEFAULT 'private' NOT NULL,
  client_id uuid,
  description text,
  metadata jsonb DEFAULT '{}' NOT NULL,
  version integer DEFAULT '1' NOT NULL,
  parent_document_id uuid,
  parent_version integer GENERATED ALWAYS AS (CASE WHEN parent_document_id IS NOT NULL THEN 1 END) STORED,
  is_current_version boolean DEFAULT true NOT NULL,
  is_encrypted boolean DEFAULT false NOT NULL,
  encryption_key_id text,
  signature_status text DEFAULT 'none' NOT NULL,
  signatures jsonb DEFAULT '[]' NOT NULL,
  uploaded_by uuid NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_documents PRIMARY KEY (id),
  CONSTRAINT uq_documents_id UNIQUE (organization_id, id),
  CONSTRAINT uq_documents_id_version UNIQUE (organization_id, id, version),
  CONSTRAINT uq_documents_parent_document_id_parent_version_version
    UNIQUE (organization_id, parent_document_id, parent_version, version),
  CONSTRAINT positive_file_size CHECK (file_size > 0),
  CONSTRAINT ck_documents_file_hash CHECK (file_hash ~ '^[0-9a-f]{64}$'),
  CONSTRAINT ck_documents_version CHECK (version > 0 AND (version = 1) = (parent_document_id IS NULL)),
  CONSTRAINT ck_documents_signature_status CHECK (signature_status IN ('none', 'pending', 'signed')),
  CONSTRAINT fk_documents_folder_id FOREIGN KEY (organization_id, folder_id)
    REFERENCES folders (organization_id, id),
  CONSTRAINT fk_documents_client_id FOREIGN KEY (organization_id, client_id)
    REFERENCES clients (organization_id, id),
  CONSTRAINT fk_documents_parent_document_id FOREIGN KEY (organization_id, parent_document_id, parent_version)
    REFERENCES documents (organization_id, id, version),
  CONSTRAINT fk_documents_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE,
  CONSTRAINT fk_documents_uploaded_by FOREIGN KEY (uploaded_by) REFERENCES users (id)
);

CREATE INDEX ix_documents_folder_id ON documents (organization_id, folder_id);

CREATE INDEX ix_documents_client_id ON documents (organization_id, client_id);

CREATE INDEX ix_documents_created_at_id ON documents (organization_id, created_at, id);

CREATE INDEX ix_documents_file_hash ON documents (organization_id, file_hash);

CREATE INDEX documents_metadata_gin_idx ON documents USING gin (metadata);

CREATE UNIQUE INDEX uq_documents_current_version
  ON documents (organization_id, coalesce(parent_document_id, id)) WHERE is_current_version;

CREATE TABLE document_permissions (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  document_id uuid NOT NULL,
  user_id uuid,
  client_id uuid,
  role_id uuid,
  permission_type text NOT NULL,
  granted_by uuid NOT NULL,
  expires_at timestamptz,
  created_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_document_permissions PRIMARY KEY (id),
  CONSTRAINT uq_document_permissions_id UNIQUE (organization_id, id),
  CONSTRAINT uq_document_permissions_grant UNIQUE NULLS NOT DISTINCT
    (organization_id, document_id, permission_type, user_id, client_id, role_id),
  CONSTRAINT ck_document_permissions_one_grantee CHECK (num_nonnulls(user_id, client_id, role_id) = 1),
  CONSTRAINT ck_document_permissions_permission_type
    CHECK (permission_type IN ('view', 'edit', 'delete', 'share')),
  CONSTRAINT fk_document_permissions_document_id FOREIGN KEY (organization_id, document_id)
    REFERENCES documents (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT fk_document_permissions_client_id FOREIGN KEY (organization_id, client_id)
    REFERENCES clients (organization_id, id),
  CONSTRAINT fk_document_permissions_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE,
  CONSTRAINT fk_document_permissions_user_id FOREIGN KEY (user_id) REFERENCES users (id),
  CONSTRAINT fk_document_permissions_role_id FOREIGN KEY (role_id) REFERENCES roles (id),
  CONSTRAINT fk_document_permissions_granted_by FOREIGN KEY (granted_by) REFERENCES users (id)
);

CREATE INDEX ix_document_permissions_client_id ON document_permissions (organization_id, client_id);

CREATE INDEX ix_document_permissions_user_id ON document_permissions (organization_id, user_id);

-- The plan that agents ask for when they ask for none.
INSERT INTO subscription_plans (id, slug, name, monthly_price, yearly_price, rank, is_published) VALUES
  ('00000000-0000-7000-8000-000000000101', 'free', 'Free', 0, 0, 0, true)
"""

#: In the order in which they can be dropped.
CREATED = (
    "document_permissions",
    "documents",
    "folders",
    "agent_messages",
    "agent_sessions",
    "user_agent_access",
    "organization_agents",
    "ai_agents",
    "payment_gateway_configs",
    "platform_subscriptions",
    "subscription_plans",
)
TYPES = ("subscription_status", "document_visibility")
TOUCHED = (
    "agent_sessions",
    "ai_agents",
    "documents",
    "folders",
    "payment_gateway_configs",
    "platform_subscriptions",
    "subscription_plans",
)

#: What the platform offers is read by those it is offered to, and by those who have it already.
OFFERED = {
    "subscription_plans": f"id IN (SELECT plan_id FROM platform_subscriptions WHERE {OURS})",  # noqa: S608
    "ai_agents": f"slug IN (SELECT agent_slug FROM organization_agents WHERE {OURS})",  # noqa: S608
}
POLICIES = (
    *(policy("tenant", table) for table in CREATED if table not in OFFERED and table != "documents"),
    f"CREATE POLICY documents_org_isolation ON documents {TENANT}",
    policy("system", "documents"),
    *(
        f"CREATE POLICY offered ON {table} FOR SELECT TO app_api, app_worker USING (is_published OR {had})"
        for table, had in OFFERED.items()
    ),
)

#: Within the organization, for the API: what `visibility` means (domain/documents.py, domain/definitions/lifecycle.py).
#: Workers act for the organization itself and see all of it.
VISIBLE = {
    "documents": (
        "uploaded_by = (SELECT app.me()) OR visibility = 'public' "  # noqa: S608 - constants only
        "OR (visibility IN ('team', 'client') "
        "AND (SELECT app.my_role()) <> '00000000-0000-7000-8000-000000000006') "
        "OR (SELECT app.audits()) OR id IN (SELECT document_id FROM document_permissions "
        f"WHERE {OURS} AND (expires_at IS NULL OR expires_at > now()) "
        "AND (user_id = (SELECT app.me()) OR role_id = (SELECT app.my_role())))"
    ),
    "workflows": (
        "visibility = 'organization' OR created_by = (SELECT app.me()) "
        "OR (visibility = 'team' AND (SELECT app.me())::text = ANY (assigned_users)) OR (SELECT app.audits())"
    ),
}
STANDING = (
    """
    CREATE FUNCTION app.my_role() RETURNS uuid LANGUAGE sql STABLE AS $$
      SELECT role_id FROM public.user_organizations
      WHERE organization_id = (SELECT app.org()) AND user_id = (SELECT app.me()) AND status = 'active'
    $$
    """,
    # As `domain.permissions.decide` does; a test holds the shipped roles named here to the code's.
    """
    CREATE FUNCTION app.audits() RETURNS boolean LANGUAGE sql STABLE AS $$
      SELECT EXISTS (
        SELECT FROM public.user_organizations AS m JOIN public.roles AS r ON r.id = m.role_id
        WHERE m.organization_id = (SELECT app.org()) AND m.user_id = (SELECT app.me()) AND m.status = 'active'
          AND NOT coalesce(m.permissions_override -> 'deny', '[]') ? 'audit:read'
          AND (coalesce(m.permissions_override -> 'grant', '[]') ? 'audit:read'
            OR CASE WHEN r.organization_id IS NULL THEN r.name IN ('owner', 'admin', 'manager', 'auditor')
              ELSE 'audit:read' = ANY (r.permissions) END))
    $$
    """,
    "GRANT EXECUTE ON FUNCTION app.my_role(), app.audits() TO app_api",
)

GATEWAY = "gateway, nickname, config, is_active, is_default, is_test_mode, updated_at"
#: What the platform sells, and what an organization has bought, no member writes.
GRANTS = {
    "agent_messages": {"app_api": "SELECT, INSERT", "app_worker": "SELECT, INSERT"},
    "agent_sessions": {"app_api": "SELECT, INSERT, UPDATE, DELETE", "app_worker": "SELECT, UPDATE"},
    "ai_agents": {"app_api": "SELECT", "app_worker": "SELECT"},
    "document_permissions": {"app_api": "SELECT, INSERT, DELETE", "app_worker": "SELECT"},
    "documents": {
        "app_api": "SELECT, INSERT, UPDATE, DELETE",
        "app_worker": "SELECT, INSERT, UPDATE",
        "app_system": "SELECT (id, organization_id, metadata)",
    },
    "folders": {"app_api": "SELECT, INSERT, UPDATE, DELETE", "app_worker": "SELECT"},
    "organization_agents": {
        "app_api": "SELECT, INSERT, UPDATE, DELETE",
        "app_worker": "SELECT, UPDATE (last_used_at)",
    },
    "payment_gateway_configs": {
        "app_api": f"SELECT (id, organization_id, created_by, created_at, {GATEWAY}), INSERT, "
        f"UPDATE (credentials, {GATEWAY}), DELETE",
        "app_worker": "SELECT, UPDATE (credentials)",
    },
    "platform_subscriptions": {"app_api": "SELECT", "app_worker": "SELECT"},
    "subscription_plans": {"app_api": "SELECT", "app_worker": "SELECT"},
    "user_agent_access": {"app_api": "SELECT, INSERT, UPDATE, DELETE", "app_worker": "SELECT"},
}
#: Rotation seals again: the organization's own values as a worker of it, people's as the system.
RESEALING = {
    "organizations": ("app_worker", "UPDATE (tax_id)"),
    "users": ("app_system", "UPDATE (national_id)"),
}

#: After the row, so that a policy speaks first: a foreign organization's row is refused like any other.
GUARDS = (
    """
    CREATE FUNCTION app.member_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NOT EXISTS (
        SELECT FROM public.user_organizations
        WHERE user_id = NEW.user_id AND organization_id = NEW.organization_id
      ) THEN
        RAISE foreign_key_violation USING
          MESSAGE = format('a user named in %s is a member of the same organization', TG_TABLE_NAME),
          CONSTRAINT = 'member_only', TABLE = TG_TABLE_NAME;
      END IF;
      RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION app.own_role_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NOT EXISTS (
        SELECT FROM public.roles
        WHERE id = NEW.role_id AND (organization_id IS NULL OR organization_id = NEW.organization_id)
      ) THEN
        RAISE foreign_key_violation USING
          MESSAGE = format('a role named in %s is a shipped one or one of the same organization', TG_TABLE_NAME),
          CONSTRAINT = 'own_role_only', TABLE = TG_TABLE_NAME;
      END IF;
      RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER member_only AFTER INSERT OR UPDATE OF user_id, organization_id ON agent_sessions
    FOR EACH ROW EXECUTE FUNCTION app.member_only()
    """,
    """
    CREATE TRIGGER member_only AFTER INSERT OR UPDATE OF user_id, organization_id ON document_permissions
    FOR EACH ROW WHEN (NEW.user_id IS NOT NULL) EXECUTE FUNCTION app.member_only()
    """,
    """
    CREATE TRIGGER own_role_only AFTER INSERT OR UPDATE OF role_id, organization_id ON document_permissions
    FOR EACH ROW WHEN (NEW.role_id IS NOT NULL) EXECUTE FUNCTION app.own_role_only()
    """,
)

#: Under row security PostgreSQL may not look into an index by `@>` before the policy has spoken, so the customer's
#: GIN index would never be used. This function is what reads it: ids only, of the entered organization only.
SEARCH = """
CREATE FUNCTION app.find_documents(wanted jsonb, at_most integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  -- OFFSET 0: found by the metadata first, put in order then. Together, the order's index looked cheaper, and was not.
  SELECT id FROM (
    SELECT id FROM public.documents WHERE metadata @> wanted AND organization_id = (SELECT app.org()) OFFSET 0
  ) AS found ORDER BY id DESC LIMIT at_most
$$
"""


@as_owner()
def upgrade() -> None:
    for statement in TABLES.split(";\n\n"):
        op.execute(statement)
    run(isolated(*CREATED))
    run(POLICIES)
    run(STANDING)
    for table, seen in VISIBLE.items():
        op.execute(
            f"CREATE POLICY visible ON {table} AS RESTRICTIVE TO app_api USING ({seen})".replace(":", "\\:")
        )
    run(granted(GRANTS))
    for table, (role, privileges) in RESEALING.items():
        op.execute(f"GRANT {privileges} ON {table} TO {role}")
    run(map(touched, TOUCHED))
    run(GUARDS)
    with as_system():
        op.execute(SEARCH)
        op.execute("GRANT EXECUTE ON FUNCTION app.find_documents TO app_api")


@as_owner()
def downgrade() -> None:
    op.execute("DROP FUNCTION app.find_documents")
    for table, (role, privileges) in RESEALING.items():
        op.execute(f"REVOKE {privileges} ON {table} FROM {role}")
    for table in VISIBLE:
        op.execute(f"DROP POLICY visible ON {table}")
    for table in OFFERED:
        op.execute(f"DROP POLICY offered ON {table}")
    for table in CREATED:
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION app.member_only")
    op.execute("DROP FUNCTION app.own_role_only")
    op.execute("DROP FUNCTION app.audits")
    op.execute("DROP FUNCTION app.my_role")
    for name in TYPES:
        op.execute(f"DROP TYPE {name}")

"""tables: organizations and people, definitions, the mirror and its ledgers"""

import re

from alembic import op
from sqlalchemy import text

from migrations.ddl import as_owner, run

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

#: In the order of their references; three of those run in circles and are added last.
TABLES = """
CREATE TABLE organizations (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  name text NOT NULL,
  slug text NOT NULL,
  domain text,
  description text,
  logo_url text,
  website text,
  industry text,
  company_size text,
  phone text,
  address text,
  city text,
  state text,
  zip_code text,
  country text DEFAULT 'US',
  timezone text DEFAULT 'UTC' NOT NULL,
  tax_id text,
  registration_number text,
  settings jsonb DEFAULT '{}' NOT NULL,
  is_verified boolean DEFAULT false NOT NULL,
  verification_level text DEFAULT 'basic' NOT NULL,
  is_active boolean DEFAULT true NOT NULL,
  created_by uuid,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_organizations PRIMARY KEY (id),
  CONSTRAINT ck_organizations_company_size CHECK (company_size IN ('startup', 'sme', 'enterprise')),
  CONSTRAINT ck_organizations_verification_level
    CHECK (verification_level IN ('basic', 'verified', 'enterprise')),
  CONSTRAINT uq_organizations_slug UNIQUE (slug),
  CONSTRAINT uq_organizations_domain UNIQUE (domain)
);

CREATE TABLE idempotency_keys (
  organization_id uuid NOT NULL,
  scope text NOT NULL,
  key text NOT NULL,
  request_sha256 text NOT NULL,
  response_status integer,
  response_body jsonb,
  expires_at timestamptz NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_idempotency_keys PRIMARY KEY (organization_id, scope, key),
  CONSTRAINT fk_idempotency_keys_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE
);

CREATE INDEX ix_idempotency_keys_expires_at ON idempotency_keys (expires_at);

CREATE TABLE roles (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid,
  name text NOT NULL,
  description text,
  permissions text[] DEFAULT '{}' NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_roles PRIMARY KEY (id),
  CONSTRAINT uq_roles_name UNIQUE (organization_id, name),
  CONSTRAINT fk_roles_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX uq_roles_shipped_name ON roles (name) WHERE organization_id IS NULL;

CREATE TABLE encryption_keys (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  wrapped_key bytea NOT NULL,
  master_key_id text NOT NULL,
  status text DEFAULT 'active' NOT NULL,
  retired_at timestamptz,
  created_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_encryption_keys PRIMARY KEY (id),
  CONSTRAINT uq_encryption_keys_id UNIQUE (organization_id, id),
  CONSTRAINT ck_encryption_keys_status CHECK (status IN ('active', 'retired')),
  CONSTRAINT fk_encryption_keys_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX uq_encryption_keys_active ON encryption_keys (organization_id) WHERE status = 'active';

CREATE TABLE users (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  username text NOT NULL,
  email text NOT NULL,
  password text NOT NULL,
  first_name text,
  last_name text,
  phone text,
  country_code text DEFAULT '+1',
  email_verified boolean DEFAULT false NOT NULL,
  email_verified_at timestamptz,
  email_verification_token text,
  email_verification_token_expiry timestamptz,
  password_reset_token text,
  password_reset_token_expiry timestamptz,
  phone_verified boolean DEFAULT false NOT NULL,
  phone_verified_at timestamptz,
  avatar_url text,
  date_of_birth date,
  national_id text,
  national_id_type text,
  address text,
  city text,
  state text,
  zip_code text,
  country text DEFAULT 'US',
  emergency_contact_name text,
  emergency_contact_phone text,
  emergency_contact_relation text,
  id_document_url text,
  address_proof_url text,
  kyc_status text DEFAULT 'pending' NOT NULL,
  kyc_verified_at timestamptz,
  kyc_rejection_reason text,
  role_id uuid NOT NULL,
  default_organization_id uuid,
  is_active boolean DEFAULT true NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_users PRIMARY KEY (id),
  CONSTRAINT ck_users_kyc_status CHECK (kyc_status IN ('pending', 'verified', 'rejected')),
  CONSTRAINT fk_users_role_id FOREIGN KEY (role_id) REFERENCES roles (id)
);

CREATE UNIQUE INDEX uq_users_email_lower ON users (lower(email));

CREATE UNIQUE INDEX uq_users_username_lower ON users (lower(username));

CREATE TABLE clients (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  name text NOT NULL,
  company_name text,
  client_type text DEFAULT 'individual' NOT NULL,
  industry text,
  client_number text,
  email text,
  phone text,
  website text,
  address text,
  city text,
  state text,
  zip_code text,
  country text DEFAULT 'US',
  tax_id text,
  registration_number text,
  fiscal_year_end text,
  status text DEFAULT 'active' NOT NULL,
  acquisition_source text,
  referral_source text,
  assigned_manager uuid,
  communication_preferences jsonb DEFAULT '{}' NOT NULL,
  service_preferences jsonb DEFAULT '{}' NOT NULL,
  billing_address jsonb,
  payment_terms text DEFAULT 'net_30',
  credit_limit numeric(12, 2),
  created_by uuid,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_clients PRIMARY KEY (id),
  CONSTRAINT uq_clients_id UNIQUE (organization_id, id),
  CONSTRAINT ck_clients_client_type CHECK (client_type IN ('individual', 'business', 'nonprofit')),
  CONSTRAINT ck_clients_status CHECK (status IN ('active', 'inactive', 'prospect')),
  CONSTRAINT fk_clients_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE,
  CONSTRAINT fk_clients_assigned_manager FOREIGN KEY (assigned_manager) REFERENCES users (id),
  CONSTRAINT fk_clients_created_by FOREIGN KEY (created_by) REFERENCES users (id)
);

CREATE UNIQUE INDEX uq_clients_number ON clients (organization_id, client_number)
    WHERE client_number IS NOT NULL;

CREATE INDEX ix_clients_email_lower ON clients (organization_id, lower(email));

CREATE INDEX ix_clients_created_at_id ON clients (organization_id, created_at, id);

CREATE TABLE workflows (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  name text NOT NULL,
  description text,
  category text,
  definition jsonb DEFAULT '{}' NOT NULL,
  layout jsonb DEFAULT '{}' NOT NULL,
  triggers jsonb DEFAULT '[]' NOT NULL,
  actions jsonb DEFAULT '[]' NOT NULL,
  is_template boolean DEFAULT false NOT NULL,
  template_id uuid,
  variables jsonb DEFAULT '{}' NOT NULL,
  status text DEFAULT 'draft' NOT NULL,
  version integer DEFAULT '1' NOT NULL,
  published_version_id uuid,
  revision integer DEFAULT '1' NOT NULL,
  visibility text DEFAULT 'private' NOT NULL,
  assigned_users text[] DEFAULT '{}' NOT NULL,
  created_by uuid NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_workflows PRIMARY KEY (id),
  CONSTRAINT uq_workflows_id UNIQUE (organization_id, id),
  CONSTRAINT fk_workflows_template_id FOREIGN KEY (organization_id, template_id)
    REFERENCES workflows (organization_id, id),
  CONSTRAINT ck_workflows_status CHECK (status IN ('draft', 'active', 'paused', 'archived')),
  CONSTRAINT ck_workflows_visibility CHECK (visibility IN ('private', 'team', 'organization')),
  CONSTRAINT ck_workflows_revision CHECK (revision > 0),
  CONSTRAINT fk_workflows_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE,
  CONSTRAINT fk_workflows_created_by FOREIGN KEY (created_by) REFERENCES users (id)
);

CREATE INDEX ix_workflows_created_at_id ON workflows (organization_id, created_at, id);

CREATE INDEX active_workflows_idx ON workflows (organization_id) WHERE status = 'active';

CREATE INDEX ix_workflows_template_id ON workflows (organization_id, template_id);

CREATE TABLE sessions (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  user_id uuid NOT NULL,
  family_id uuid NOT NULL,
  refresh_sha256 text NOT NULL,
  csrf_sha256 text,
  active_organization_id uuid,
  user_agent text,
  ip_address text,
  expires_at timestamptz NOT NULL,
  rotated_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_sessions PRIMARY KEY (id),
  CONSTRAINT fk_sessions_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
  CONSTRAINT uq_sessions_refresh_sha256 UNIQUE (refresh_sha256),
  CONSTRAINT fk_sessions_active_organization_id FOREIGN KEY (active_organization_id)
    REFERENCES organizations (id) ON DELETE SET NULL
);

CREATE INDEX ix_sessions_user_id ON sessions (user_id);

CREATE INDEX ix_sessions_family_id ON sessions (family_id);

CREATE TABLE api_keys (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  name text NOT NULL,
  key_id text NOT NULL,
  secret_sha256 text NOT NULL,
  scopes text[] DEFAULT '{}' NOT NULL,
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_api_keys PRIMARY KEY (id),
  CONSTRAINT uq_api_keys_id UNIQUE (organization_id, id),
  CONSTRAINT fk_api_keys_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE,
  CONSTRAINT fk_api_keys_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
  CONSTRAINT uq_api_keys_key_id UNIQUE (key_id)
);

CREATE INDEX ix_api_keys_user_id ON api_keys (organization_id, user_id);

CREATE TABLE user_organizations (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  role_id uuid NOT NULL,
  status text DEFAULT 'active' NOT NULL,
  invited_by uuid,
  joined_at timestamptz,
  last_active_at timestamptz,
  permissions_override jsonb DEFAULT '{}' NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_user_organizations PRIMARY KEY (id),
  CONSTRAINT uq_user_organizations_id UNIQUE (organization_id, id),
  CONSTRAINT uq_user_organizations_user_id UNIQUE (user_id, organization_id),
  CONSTRAINT ck_user_organizations_status CHECK (status IN ('pending', 'active', 'suspended')),
  CONSTRAINT fk_user_organizations_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE,
  CONSTRAINT fk_user_organizations_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
  CONSTRAINT fk_user_organizations_role_id FOREIGN KEY (role_id) REFERENCES roles (id),
  CONSTRAINT fk_user_organizations_invited_by FOREIGN KEY (invited_by) REFERENCES users (id)
);

CREATE INDEX ix_user_organizations_user_id ON user_organizations (organization_id, user_id);

CREATE TABLE activity_logs (
  organization_id uuid NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  actor_type text NOT NULL,
  user_id uuid,
  action text NOT NULL,
  resource text NOT NULL,
  resource_id text,
  metadata jsonb DEFAULT '{}' NOT NULL,
  ip_address text,
  user_agent text,
  CONSTRAINT pk_activity_logs PRIMARY KEY (organization_id, created_at, id),
  CONSTRAINT ck_activity_logs_actor_type CHECK (actor_type IN ('user', 'api_key', 'worker', 'system')),
  CONSTRAINT ck_activity_logs_user_known CHECK (actor_type <> 'user' OR user_id IS NOT NULL),
  CONSTRAINT fk_activity_logs_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE,
  CONSTRAINT fk_activity_logs_user_id FOREIGN KEY (user_id) REFERENCES users (id)
)
 PARTITION BY RANGE (created_at);

CREATE INDEX ix_activity_logs_resource_resource_id_created_at ON activity_logs (organization_id, resource, resource_id, created_at);

CREATE TABLE contacts (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  client_id uuid,
  first_name text NOT NULL,
  last_name text NOT NULL,
  job_title text,
  department text,
  email text,
  phone text,
  mobile text,
  is_primary boolean DEFAULT false NOT NULL,
  can_authorize boolean DEFAULT false NOT NULL,
  receives_communications boolean DEFAULT true NOT NULL,
  notes text,
  tags text[] DEFAULT '{}' NOT NULL,
  created_by uuid,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_contacts PRIMARY KEY (id),
  CONSTRAINT uq_contacts_id UNIQUE (organization_id, id),
  CONSTRAINT fk_contacts_client_id FOREIGN KEY (organization_id, client_id)
    REFERENCES clients (organization_id, id),
  CONSTRAINT fk_contacts_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE,
  CONSTRAINT fk_contacts_created_by FOREIGN KEY (created_by) REFERENCES users (id)
);

CREATE INDEX ix_contacts_created_at_id ON contacts (organization_id, created_at, id);

CREATE INDEX ix_contacts_client_id ON contacts (organization_id, client_id);

CREATE TABLE workflow_versions (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  workflow_id uuid NOT NULL,
  number integer NOT NULL,
  document jsonb DEFAULT '{}' NOT NULL,
  compiled jsonb DEFAULT '{}' NOT NULL,
  sha256 text NOT NULL,
  published_by uuid NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_workflow_versions PRIMARY KEY (id),
  CONSTRAINT uq_workflow_versions_id UNIQUE (organization_id, id),
  CONSTRAINT fk_workflow_versions_workflow_id FOREIGN KEY (organization_id, workflow_id)
    REFERENCES workflows (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT uq_workflow_versions_workflow_id_number UNIQUE (organization_id, workflow_id, number),
  CONSTRAINT ck_workflow_versions_number CHECK (number > 0),
  CONSTRAINT fk_workflow_versions_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE,
  CONSTRAINT fk_workflow_versions_published_by FOREIGN KEY (published_by) REFERENCES users (id)
);

CREATE TABLE triggers (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  workflow_id uuid NOT NULL,
  type text NOT NULL,
  name text NOT NULL,
  configuration jsonb DEFAULT '{}' NOT NULL,
  is_active boolean DEFAULT true NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_triggers PRIMARY KEY (id),
  CONSTRAINT uq_triggers_id UNIQUE (organization_id, id),
  CONSTRAINT fk_triggers_workflow_id FOREIGN KEY (organization_id, workflow_id)
    REFERENCES workflows (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT uq_triggers_workflow_id_name UNIQUE (organization_id, workflow_id, name),
  CONSTRAINT ck_triggers_type CHECK (type IN ('manual', 'webhook', 'schedule', 'event')),
  CONSTRAINT fk_triggers_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE
);

CREATE TABLE workflow_executions (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  workflow_id uuid NOT NULL,
  workflow_version_id uuid NOT NULL,
  kind text DEFAULT 'workflow' NOT NULL,
  trigger_event text NOT NULL,
  trigger_data jsonb DEFAULT '{}' NOT NULL,
  trigger_key text,
  execution_context jsonb DEFAULT '{}' NOT NULL,
  temporal_workflow_id text NOT NULL,
  temporal_run_id text,
  status text DEFAULT 'queued' NOT NULL,
  progress integer DEFAULT '0' NOT NULL,
  current_step integer DEFAULT '0' NOT NULL,
  mirror_version bigint[] DEFAULT '{0,0,0}' NOT NULL,
  waiting_on jsonb,
  output jsonb,
  error jsonb,
  error_message text,
  execution_log jsonb DEFAULT '[]' NOT NULL,
  started_by uuid,
  started_at timestamptz,
  completed_at timestamptz,
  cancel_requested_at timestamptz,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_workflow_executions PRIMARY KEY (id),
  CONSTRAINT uq_workflow_executions_id UNIQUE (organization_id, id),
  CONSTRAINT fk_workflow_executions_workflow_id FOREIGN KEY (organization_id, workflow_id)
    REFERENCES workflows (organization_id, id),
  CONSTRAINT fk_workflow_executions_workflow_version_id FOREIGN KEY (organization_id, workflow_version_id)
    REFERENCES workflow_versions (organization_id, id),
  CONSTRAINT ck_workflow_executions_status
    CHECK (status IN ('queued', 'running', 'waiting', 'paused',
      'completed', 'failed', 'cancelled', 'timed_out', 'terminated')),
  CONSTRAINT ck_workflow_executions_progress CHECK (progress BETWEEN 0 AND 100),
  CONSTRAINT ck_workflow_executions_mirror_version CHECK (cardinality(mirror_version) = 3),
  CONSTRAINT fk_workflow_executions_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE,
  CONSTRAINT fk_workflow_executions_started_by FOREIGN KEY (started_by) REFERENCES users (id)
);

CREATE INDEX ix_workflow_executions_workflow_id_created_at_id ON workflow_executions (organization_id, workflow_id, created_at, id);

CREATE INDEX ix_workflow_executions_status_created_at_id ON workflow_executions (organization_id, status, created_at, id);

CREATE INDEX ix_workflow_executions_open ON workflow_executions (updated_at)
    WHERE status IN ('queued', 'running', 'waiting', 'paused');

CREATE UNIQUE INDEX uq_workflow_executions_trigger_key ON workflow_executions (organization_id, trigger_key)
    WHERE trigger_key IS NOT NULL;

CREATE INDEX ix_workflow_executions_created_at_id ON workflow_executions (organization_id, created_at, id);

CREATE INDEX ix_workflow_executions_workflow_version_id ON workflow_executions (organization_id, workflow_version_id);

CREATE TABLE effects (
  organization_id uuid NOT NULL,
  key text NOT NULL,
  execution_id uuid NOT NULL,
  occurrence text NOT NULL,
  action text NOT NULL,
  effect text NOT NULL,
  request_sha256 text NOT NULL,
  status text DEFAULT 'started' NOT NULL,
  result jsonb,
  error jsonb,
  attempts integer DEFAULT '1' NOT NULL,
  started_at timestamptz DEFAULT now() NOT NULL,
  completed_at timestamptz,
  CONSTRAINT pk_effects PRIMARY KEY (organization_id, key),
  CONSTRAINT fk_effects_execution_id FOREIGN KEY (organization_id, execution_id)
    REFERENCES workflow_executions (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_effects_effect CHECK (effect IN ('pure', 'idempotent', 'keyed', 'irreversible')),
  CONSTRAINT ck_effects_status CHECK (status IN ('started', 'succeeded', 'failed', 'unknown')),
  CONSTRAINT fk_effects_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE
);

CREATE INDEX ix_effects_execution_id ON effects (organization_id, execution_id);

CREATE TABLE execution_steps (
  organization_id uuid NOT NULL,
  execution_id uuid NOT NULL,
  occurrence text NOT NULL,
  pointer text NOT NULL,
  name text NOT NULL,
  kind text NOT NULL,
  action text,
  visit integer NOT NULL,
  position bigint NOT NULL,
  attempt integer DEFAULT '1' NOT NULL,
  status text NOT NULL,
  input jsonb,
  output jsonb,
  error jsonb,
  started_at timestamptz,
  completed_at timestamptz,
  CONSTRAINT pk_execution_steps PRIMARY KEY (organization_id, execution_id, occurrence),
  CONSTRAINT fk_execution_steps_execution_id FOREIGN KEY (organization_id, execution_id)
    REFERENCES workflow_executions (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_execution_steps_status
    CHECK (status IN ('running', 'waiting', 'completed', 'failed', 'skipped', 'cancelled')),
  CONSTRAINT fk_execution_steps_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE
);

CREATE INDEX ix_execution_steps_execution_id_position ON execution_steps (organization_id, execution_id, position);

CREATE TABLE outbox (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  execution_id uuid NOT NULL,
  kind text NOT NULL,
  workflow_id text NOT NULL,
  payload jsonb DEFAULT '{}' NOT NULL,
  available_at timestamptz DEFAULT now() NOT NULL,
  leased_until timestamptz DEFAULT now() + interval '2 seconds' NOT NULL,
  attempts integer DEFAULT '0' NOT NULL,
  last_error text,
  dispatched_at timestamptz,
  created_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_outbox PRIMARY KEY (id),
  CONSTRAINT uq_outbox_id UNIQUE (organization_id, id),
  CONSTRAINT fk_outbox_execution_id FOREIGN KEY (organization_id, execution_id)
    REFERENCES workflow_executions (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_outbox_kind CHECK (kind IN ('start', 'signal', 'cancel')),
  CONSTRAINT fk_outbox_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE
);

CREATE INDEX ix_outbox_execution_id ON outbox (organization_id, execution_id);

CREATE INDEX ix_outbox_pending ON outbox (available_at) WHERE dispatched_at IS NULL;

CREATE TABLE tasks (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  execution_id uuid,
  occurrence text NOT NULL,
  kind text NOT NULL,
  title text NOT NULL,
  description text,
  form jsonb,
  assignees text[] DEFAULT '{}' NOT NULL,
  status text DEFAULT 'open' NOT NULL,
  outcome text,
  decision jsonb,
  decided_by uuid,
  decided_at timestamptz,
  due_at timestamptz,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_tasks PRIMARY KEY (id),
  CONSTRAINT uq_tasks_id UNIQUE (organization_id, id),
  CONSTRAINT fk_tasks_execution_id FOREIGN KEY (organization_id, execution_id)
    REFERENCES workflow_executions (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT uq_tasks_execution_id_occurrence UNIQUE (organization_id, execution_id, occurrence),
  CONSTRAINT ck_tasks_status CHECK (status IN ('open', 'decided', 'cancelled')),
  CONSTRAINT ck_tasks_outcome CHECK (outcome IN ('approved', 'rejected')),
  CONSTRAINT ck_tasks_outcome_when_decided CHECK ((status = 'decided') = (outcome IS NOT NULL)),
  CONSTRAINT fk_tasks_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE,
  CONSTRAINT fk_tasks_decided_by FOREIGN KEY (decided_by) REFERENCES users (id)
);

CREATE INDEX ix_tasks_status_created_at_id ON tasks (organization_id, status, created_at, id);

ALTER TABLE organizations ADD CONSTRAINT fk_organizations_created_by FOREIGN KEY (created_by)
    REFERENCES users (id);

ALTER TABLE workflows ADD CONSTRAINT fk_workflows_published_version_id FOREIGN KEY (organization_id, published_version_id)
    REFERENCES workflow_versions (organization_id, id);

ALTER TABLE users ADD CONSTRAINT fk_users_default_organization_id FOREIGN KEY (default_organization_id)
    REFERENCES organizations (id) ON DELETE SET NULL;

CREATE TABLE activity_logs_default PARTITION OF activity_logs DEFAULT
"""

#: Their names in the same order, which the way back reverses.
CREATED = tuple(re.findall(r"^CREATE TABLE (\w+) \($", TABLES, re.MULTILINE))

#: The roles every organization shares; what each may do is the code's to say.
SHIPPED_ROLES = """
INSERT INTO roles (id, name, description) VALUES
  ('00000000-0000-7000-8000-000000000001', 'owner', 'Everything, including closing the organization'),
  ('00000000-0000-7000-8000-000000000002', 'admin', 'Everything but owning'),
  ('00000000-0000-7000-8000-000000000003', 'manager', 'Publishes and runs workflows, looks after clients'),
  ('00000000-0000-7000-8000-000000000004', 'member', 'Runs workflows and does tasks'),
  ('00000000-0000-7000-8000-000000000005', 'reviewer', 'Decides tasks'),
  ('00000000-0000-7000-8000-000000000006', 'client', 'A customer of the organization, seeing their own'),
  ('00000000-0000-7000-8000-000000000007', 'auditor', 'Reads everything, changes nothing')
"""


@as_owner()
def upgrade() -> None:
    for statement in TABLES.split(";\n\n"):
        op.execute(text(statement.replace(":", "\\:")))
    op.execute(SHIPPED_ROLES)


@as_owner()
def downgrade() -> None:
    op.execute("ALTER TABLE organizations DROP CONSTRAINT fk_organizations_created_by")
    op.execute("ALTER TABLE users DROP CONSTRAINT fk_users_default_organization_id")
    op.execute("ALTER TABLE workflows DROP CONSTRAINT fk_workflows_published_version_id")
    run(f"DROP TABLE {table}" for table in reversed(CREATED))

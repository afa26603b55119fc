"""webhooks: addresses and secrets of triggers, what arrived at them, and which events were accepted"""

import re

from alembic import op

from migrations.ddl import as_owner, as_system, granted, isolated, policy, run

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE trigger_secrets (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  trigger_id uuid NOT NULL,
  kind text NOT NULL,
  sha256 text,
  sealed bytea NOT NULL,
  expires_at timestamptz,
  created_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_trigger_secrets PRIMARY KEY (id),
  CONSTRAINT uq_trigger_secrets_id UNIQUE (organization_id, id),
  CONSTRAINT fk_trigger_secrets_trigger_id FOREIGN KEY (organization_id, trigger_id)
    REFERENCES triggers (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_trigger_secrets_kind CHECK (kind IN ('url', 'signing')),
  CONSTRAINT ck_trigger_secrets_sha256 CHECK ((kind = 'url') = (sha256 IS NOT NULL)),
  CONSTRAINT fk_trigger_secrets_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE
);

CREATE INDEX ix_trigger_secrets_trigger_id ON trigger_secrets (organization_id, trigger_id);

CREATE UNIQUE INDEX uq_trigger_secrets_sha256 ON trigger_secrets (sha256) WHERE sha256 IS NOT NULL;

CREATE TABLE deliveries (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  trigger_id uuid NOT NULL,
  source text NOT NULL,
  verdict text NOT NULL,
  reason text,
  method text NOT NULL,
  content_type text,
  size bigint NOT NULL,
  sha256 text,
  event_id text,
  source_ip text,
  execution_id uuid,
  replay_of uuid,
  body bytea,
  body_key text,
  unrecorded integer DEFAULT '0' NOT NULL,
  received_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_deliveries PRIMARY KEY (id),
  CONSTRAINT uq_deliveries_id UNIQUE (organization_id, id),
  CONSTRAINT fk_deliveries_trigger_id FOREIGN KEY (organization_id, trigger_id)
    REFERENCES triggers (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT fk_deliveries_execution_id FOREIGN KEY (organization_id, execution_id)
    REFERENCES workflow_executions (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT fk_deliveries_replay_of FOREIGN KEY (organization_id, replay_of)
    REFERENCES deliveries (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_deliveries_source CHECK (source IN ('provider', 'test', 'replay')),
  CONSTRAINT ck_deliveries_verdict
    CHECK (verdict IN ('receiving', 'accepted', 'duplicate', 'challenge', 'tested', 'rejected', 'malformed',
      'stale', 'forged', 'oversized')),
  CONSTRAINT fk_deliveries_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE
);

CREATE INDEX ix_deliveries_received_at_id ON deliveries (organization_id, received_at, id);

CREATE INDEX ix_deliveries_trigger_id_received_at_id ON deliveries (organization_id, trigger_id, received_at, id);

CREATE INDEX ix_deliveries_execution_id ON deliveries (organization_id, execution_id);

CREATE INDEX ix_deliveries_replay_of ON deliveries (organization_id, replay_of);

CREATE INDEX ix_deliveries_bodies ON deliveries (received_at) WHERE body IS NOT NULL OR body_key IS NOT NULL;

CREATE INDEX ix_deliveries_refused ON deliveries (trigger_id, received_at)
    WHERE verdict NOT IN ('accepted', 'tested');

CREATE TABLE webhook_inbox (
  organization_id uuid NOT NULL,
  trigger_id uuid NOT NULL,
  key text NOT NULL,
  delivery_id uuid NOT NULL,
  received_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_webhook_inbox PRIMARY KEY (organization_id, trigger_id, key),
  CONSTRAINT fk_webhook_inbox_trigger_id FOREIGN KEY (organization_id, trigger_id)
    REFERENCES triggers (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT fk_webhook_inbox_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE
);

CREATE INDEX ix_webhook_inbox_received_at ON webhook_inbox (received_at);
"""

CREATED = tuple(re.findall(r"^CREATE TABLE (\w+) \($", TABLES, re.MULTILINE))

#: app_system finds the trigger of an address and forgets what is old.
LEDGER = "id, organization_id, trigger_id, verdict, reason, body, body_key, received_at"
GRANTS = {
    "trigger_secrets": {
        "app_api": "SELECT, INSERT, UPDATE (expires_at), DELETE",
        "app_system": "SELECT, DELETE",
    },
    "deliveries": {
        "app_api": "SELECT, INSERT",
        "app_worker": "SELECT, INSERT, UPDATE (verdict, reason, execution_id, body_key)",
        "app_system": f"SELECT ({LEDGER}), UPDATE (verdict, reason, body, body_key), DELETE",
    },
    "webhook_inbox": {
        "app_worker": "SELECT, INSERT, UPDATE (delivery_id, received_at)",
        "app_system": "SELECT, DELETE",
    },
    "triggers": {"app_system": "SELECT"},
    "sessions": {"app_system": "DELETE"},
}
POLICIES = (
    *(policy("tenant", table) for table in CREATED),
    *(policy("system", table) for table in (*CREATED, "triggers")),
    # Whoever stole a refresh token must find its family here while the token could still be used.
    "CREATE POLICY expired ON sessions AS RESTRICTIVE FOR DELETE TO app_system USING (expires_at < now())",
)

FIND_HOOK = """
CREATE FUNCTION app.find_hook(wanted text, moment timestamptz)
RETURNS TABLE (organization_id uuid, trigger_id uuid, workflow_id uuid, name text, configuration jsonb,
  secret_ids uuid[], secrets bytea[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT t.organization_id, t.id, t.workflow_id, t.name, t.configuration,
    array_remove(array_agg(s.id ORDER BY s.created_at DESC), NULL),
    array_remove(array_agg(s.sealed ORDER BY s.created_at DESC), NULL)
  FROM public.trigger_secrets AS u
  JOIN public.triggers AS t ON t.organization_id = u.organization_id AND t.id = u.trigger_id
  JOIN public.organizations AS o ON o.id = t.organization_id AND o.is_active
  LEFT JOIN public.trigger_secrets AS s
    ON s.organization_id = t.organization_id AND s.trigger_id = t.id AND s.kind = 'signing'
      AND (s.expires_at IS NULL OR s.expires_at > moment)
  WHERE u.sha256 = wanted AND u.kind = 'url' AND (u.expires_at IS NULL OR u.expires_at > moment)
    AND t.type = 'webhook' AND t.is_active
  GROUP BY t.organization_id, t.id, t.workflow_id, t.name, t.configuration
$$
"""


@as_owner()
def upgrade() -> None:
    run(filter(str.strip, TABLES.split(";\n")))
    run(isolated(*CREATED))
    run(POLICIES)
    run(granted(GRANTS))
    with as_system():
        op.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
        op.execute(FIND_HOOK)
        op.execute("GRANT EXECUTE ON FUNCTION app.find_hook TO app_api")


@as_owner()
def downgrade() -> None:
    op.execute("DROP FUNCTION app.find_hook")
    op.execute("DROP POLICY expired ON sessions")
    op.execute("REVOKE DELETE ON sessions FROM app_system")
    op.execute("DROP POLICY system ON triggers")
    op.execute("REVOKE SELECT ON triggers FROM app_system")
    run(f"DROP TABLE {table}" for table in reversed(CREATED))

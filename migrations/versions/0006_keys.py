"""keys: tenants' secrets, tax ids sealed and found by a blind index, keys that can be shredded"""

from alembic import op

from migrations.ddl import as_owner, isolated, run, touched

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SECRETS = """
CREATE TABLE secrets (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  name text NOT NULL,
  version integer DEFAULT '1' NOT NULL,
  created_by uuid NOT NULL,
  updated_by uuid NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_secrets PRIMARY KEY (id),
  CONSTRAINT uq_secrets_id UNIQUE (organization_id, id),
  CONSTRAINT uq_secrets_name UNIQUE (organization_id, name),
  CONSTRAINT ck_secrets_version CHECK (version > 0),
  CONSTRAINT fk_secrets_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE,
  CONSTRAINT fk_secrets_created_by FOREIGN KEY (created_by) REFERENCES users (id),
  CONSTRAINT fk_secrets_updated_by FOREIGN KEY (updated_by) REFERENCES users (id)
);

CREATE TABLE secret_versions (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  organization_id uuid NOT NULL,
  secret_id uuid NOT NULL,
  number integer NOT NULL,
  value bytea NOT NULL,
  created_by uuid NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_secret_versions PRIMARY KEY (id),
  CONSTRAINT uq_secret_versions_id UNIQUE (organization_id, id),
  CONSTRAINT fk_secret_versions_secret_id FOREIGN KEY (organization_id, secret_id)
    REFERENCES secrets (organization_id, id) ON DELETE CASCADE,
  CONSTRAINT uq_secret_versions_secret_id_number UNIQUE (organization_id, secret_id, number),
  CONSTRAINT ck_secret_versions_number CHECK (number > 0),
  CONSTRAINT fk_secret_versions_organization_id FOREIGN KEY (organization_id)
    REFERENCES organizations (id) ON DELETE CASCADE,
  CONSTRAINT fk_secret_versions_created_by FOREIGN KEY (created_by) REFERENCES users (id)
)
"""

#: Values are written by the API and read by workers alone: the API's own role cannot select one.
GRANTS = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON secrets TO app_api",
    "GRANT SELECT ON secrets TO app_worker",
    "GRANT SELECT (id, organization_id, secret_id, number, created_by, created_at), INSERT, DELETE "
    "ON secret_versions TO app_api",
    "GRANT SELECT, UPDATE (value) ON secret_versions TO app_worker",
    # Rotation, and shredding on demand.
    "GRANT DELETE ON encryption_keys TO app_system",
)

TABLES = ("secrets", "secret_versions")

# `clients.tax_id` keeps its type: sealed values stand in it as base64. No row has an index yet, so the lock lasts
# for one scan.
INDEX = """
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX ix_clients_tax_id_index ON clients (organization_id, tax_id_index)
  WHERE tax_id_index IS NOT NULL
"""


@as_owner()
def upgrade() -> None:
    for statement in SECRETS.split(";\n"):
        op.execute(statement)
    run(isolated(*TABLES, by=("tenant",)))
    for grant in GRANTS:
        op.execute(grant)
    op.execute(touched("secrets"))
    op.execute("ALTER TABLE clients ADD COLUMN tax_id_index bytea")
    op.execute(INDEX)


@as_owner()
def downgrade() -> None:
    op.execute("ALTER TABLE clients DROP COLUMN tax_id_index")
    op.execute("REVOKE DELETE ON encryption_keys FROM app_system")
    op.execute("DROP TABLE secret_versions")
    op.execute("DROP TABLE secrets")

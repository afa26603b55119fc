"""supervision: what the mirror needs to follow resets, to be verified, and to say what it mended"""

from alembic import op

from migrations.ddl import as_owner, isolated, run, touched

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

#: One statement each. New columns are empty or constant, so no table is rewritten.
STATEMENTS = (
    """
    ALTER TABLE workflow_executions
      ADD COLUMN reset_run_id text,
      ADD COLUMN lag_ms integer,
      ADD COLUMN stalled_since timestamptz,
      ADD COLUMN stalled_reason text,
      ADD COLUMN verified_at timestamptz,
      ADD COLUMN verified_version bigint[]
    """,
    # Inside the migration's transaction: the column is new, so the index is empty, and no release came before.
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_workflow_executions_stalled ON workflow_executions (stalled_since)
    WHERE stalled_since IS NOT NULL
    """,
    "ALTER TABLE execution_steps ADD COLUMN run_started bigint DEFAULT '0' NOT NULL",
    # A row that was merely looked at has not changed.
    "DROP TRIGGER touch ON workflow_executions",
    """
    CREATE TRIGGER touch BEFORE UPDATE ON workflow_executions FOR EACH ROW
    WHEN (OLD.verified_at IS NOT DISTINCT FROM NEW.verified_at) EXECUTE FUNCTION app.touch()
    """,
    """
    CREATE TABLE reconciliations (
      id uuid DEFAULT gen_random_uuid() NOT NULL,
      organization_id uuid NOT NULL,
      execution_id uuid NOT NULL,
      found text NOT NULL,
      detail text NOT NULL,
      found_at timestamptz DEFAULT now() NOT NULL,
      mended_at timestamptz,
      CONSTRAINT pk_reconciliations PRIMARY KEY (id),
      CONSTRAINT uq_reconciliations_id UNIQUE (organization_id, id),
      CONSTRAINT ck_reconciliations_found
        CHECK (found IN ('ended', 'deleted', 'reset', 'stalled', 'contradicted')),
      CONSTRAINT fk_reconciliations_execution_id FOREIGN KEY (organization_id, execution_id)
        REFERENCES workflow_executions (organization_id, id) ON DELETE CASCADE,
      CONSTRAINT fk_reconciliations_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_reconciliations_execution_id ON reconciliations (organization_id, execution_id)",
    "CREATE INDEX ix_reconciliations_found_at ON reconciliations (organization_id, found_at)",
    *isolated("reconciliations", by=("tenant",)),
    "GRANT SELECT ON reconciliations TO app_api",
    "GRANT SELECT, INSERT, UPDATE ON reconciliations TO app_worker",
    # What a reset run does anew replaces the lines of the course it gave up.
    "GRANT DELETE ON execution_steps TO app_worker",
)


@as_owner()
def upgrade() -> None:
    run(STATEMENTS)


@as_owner()
def downgrade() -> None:
    op.execute("REVOKE DELETE ON execution_steps FROM app_worker")
    op.execute("DROP TABLE reconciliations")
    op.execute("DROP TRIGGER touch ON workflow_executions")
    op.execute("ALTER TABLE execution_steps DROP COLUMN run_started")
    op.execute(
        "ALTER TABLE workflow_executions DROP COLUMN reset_run_id, DROP COLUMN lag_ms, "
        "DROP COLUMN stalled_since, DROP COLUMN stalled_reason, DROP COLUMN verified_at, "
        "DROP COLUMN verified_version"
    )
    op.execute(touched("workflow_executions"))

"""reruns and bulk operations"""

from alembic import op

from migrations.ddl import as_owner, granted, isolated, policy, run

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

STATEMENTS = (
    # Neither fills a row: the default of a new column is kept once, for all rows that were there before.
    "ALTER TABLE workflow_executions ADD COLUMN rerun_of_id uuid",
    "ALTER TABLE execution_steps ADD COLUMN is_taken_over boolean DEFAULT false NOT NULL",
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_workflow_executions_rerun_of_id ON workflow_executions
      (organization_id, rerun_of_id, created_at, id) WHERE rerun_of_id IS NOT NULL
    """,
    """
    -- squawk-ignore adding-foreign-key-constraint, constraint-missing-not-valid
    ALTER TABLE workflow_executions ADD CONSTRAINT fk_workflow_executions_rerun_of_id
      FOREIGN KEY (organization_id, rerun_of_id)
      REFERENCES workflow_executions (organization_id, id) ON DELETE SET NULL (rerun_of_id)
    """,
    """
    CREATE TABLE bulk_operations (
      id uuid DEFAULT gen_random_uuid() NOT NULL,
      organization_id uuid NOT NULL,
      action text NOT NULL,
      filters jsonb DEFAULT '{}' NOT NULL,
      reason text,
      confirms_irreversible boolean DEFAULT false NOT NULL,
      total integer NOT NULL,
      execution_id uuid,
      created_by uuid,
      created_at timestamptz DEFAULT now() NOT NULL,
      completed_at timestamptz,
      CONSTRAINT pk_bulk_operations PRIMARY KEY (id),
      CONSTRAINT uq_bulk_operations_id UNIQUE (organization_id, id),
      CONSTRAINT ck_bulk_operations_action CHECK (action IN ('cancel', 'rerun')),
      CONSTRAINT fk_bulk_operations_execution_id FOREIGN KEY (organization_id, execution_id)
        REFERENCES workflow_executions (organization_id, id) ON DELETE SET NULL (execution_id),
      CONSTRAINT fk_bulk_operations_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE,
      CONSTRAINT fk_bulk_operations_created_by FOREIGN KEY (created_by) REFERENCES users (id)
    )
    """,
    "CREATE INDEX ix_bulk_operations_created_at_id ON bulk_operations (organization_id, created_at, id)",
    "CREATE INDEX ix_bulk_operations_execution_id ON bulk_operations (organization_id, execution_id)",
    """
    CREATE TABLE bulk_items (
      organization_id uuid NOT NULL,
      operation_id uuid NOT NULL,
      number integer NOT NULL,
      execution_id uuid NOT NULL,
      outcome text,
      detail text,
      rerun_id uuid,
      finished_at timestamptz,
      CONSTRAINT pk_bulk_items PRIMARY KEY (organization_id, operation_id, number),
      CONSTRAINT ck_bulk_items_outcome CHECK (outcome IN ('done', 'refused')),
      CONSTRAINT fk_bulk_items_operation_id FOREIGN KEY (organization_id, operation_id)
        REFERENCES bulk_operations (organization_id, id) ON DELETE CASCADE,
      CONSTRAINT fk_bulk_items_execution_id FOREIGN KEY (organization_id, execution_id)
        REFERENCES workflow_executions (organization_id, id) ON DELETE CASCADE,
      CONSTRAINT fk_bulk_items_rerun_id FOREIGN KEY (organization_id, rerun_id)
        REFERENCES workflow_executions (organization_id, id) ON DELETE SET NULL (rerun_id),
      CONSTRAINT fk_bulk_items_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_bulk_items_execution_id ON bulk_items (organization_id, execution_id)",
    "CREATE INDEX ix_bulk_items_rerun_id ON bulk_items (organization_id, rerun_id)",
)

CREATED = ("bulk_operations", "bulk_items")
GRANTS = {
    "bulk_operations": {
        "app_api": "SELECT, INSERT",
        "app_worker": "SELECT, UPDATE (completed_at)",
        "app_system": "SELECT (id, organization_id, created_at), DELETE",
    },
    "bulk_items": {
        "app_api": "SELECT, INSERT",
        "app_worker": "SELECT, UPDATE (outcome, detail, rerun_id, finished_at)",
    },
    # A rerun begins with the lines of the steps it takes over; these are nobody's use.
    "execution_steps": {"app_api": "INSERT", "app_system": "SELECT (is_taken_over)"},
}


@as_owner()
def upgrade() -> None:
    run(STATEMENTS)
    run(isolated(*CREATED, by=("tenant", "erasure")))
    op.execute(policy("system", "bulk_operations"))
    run(granted(GRANTS))


@as_owner()
def downgrade() -> None:
    op.execute("REVOKE INSERT ON execution_steps FROM app_api")
    op.execute("REVOKE SELECT (is_taken_over) ON execution_steps FROM app_system")
    run(f"DROP TABLE {table}" for table in reversed(CREATED))
    op.execute("ALTER TABLE execution_steps DROP COLUMN is_taken_over")
    op.execute("ALTER TABLE workflow_executions DROP COLUMN rerun_of_id")

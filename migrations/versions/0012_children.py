"""children: executions that an execution starts and waits for; versions found by what their document says"""

from alembic import op

from migrations.ddl import as_owner, run

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

#: One statement each. No release came before: what is rewritten or indexed here is empty or small.
STATEMENTS = (
    """
    ALTER TABLE workflow_executions
      ADD COLUMN parent_id uuid,
      ADD COLUMN parent_occurrence text,
      ADD COLUMN root_id uuid,
      ADD COLUMN depth integer DEFAULT '0' NOT NULL,
      ADD COLUMN is_awaited boolean DEFAULT false NOT NULL
    """,
    """
    -- squawk-ignore adding-foreign-key-constraint, constraint-missing-not-valid
    ALTER TABLE workflow_executions ADD CONSTRAINT fk_workflow_executions_parent_id
      FOREIGN KEY (organization_id, parent_id) REFERENCES workflow_executions (organization_id, id)
      ON DELETE SET NULL (parent_id)
    """,
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_workflow_executions_parent_id
    ON workflow_executions (organization_id, parent_id, created_at, id) WHERE parent_id IS NOT NULL
    """,
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_workflow_executions_root_id ON workflow_executions (organization_id, root_id)
    WHERE root_id IS NOT NULL
    """,
    # Computed by the database, so that a version can never be found under a name its document does not have.
    """
    ALTER TABLE workflow_versions
      -- squawk-ignore adding-field-with-default
      ADD COLUMN document_namespace text GENERATED ALWAYS AS (document #>> '{document,namespace}') STORED,
      -- squawk-ignore adding-field-with-default
      ADD COLUMN document_name text GENERATED ALWAYS AS (document #>> '{document,name}') STORED,
      -- squawk-ignore adding-field-with-default
      ADD COLUMN document_version text GENERATED ALWAYS AS (document #>> '{document,version}') STORED
    """,
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_workflow_versions_document
    ON workflow_versions (organization_id, document_namespace, document_name)
    """,
)


@as_owner()
def upgrade() -> None:
    run(STATEMENTS)


@as_owner()
def downgrade() -> None:
    op.execute("DROP INDEX ix_workflow_versions_document")
    op.execute(
        "ALTER TABLE workflow_versions DROP COLUMN document_namespace, DROP COLUMN document_name, "
        "DROP COLUMN document_version"
    )
    op.execute("DROP INDEX ix_workflow_executions_root_id")
    op.execute("DROP INDEX ix_workflow_executions_parent_id")
    op.execute("ALTER TABLE workflow_executions DROP CONSTRAINT fk_workflow_executions_parent_id")
    op.execute(
        "ALTER TABLE workflow_executions DROP COLUMN parent_id, DROP COLUMN parent_occurrence, "
        "DROP COLUMN root_id, DROP COLUMN depth, DROP COLUMN is_awaited"
    )

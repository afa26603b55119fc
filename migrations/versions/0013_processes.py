"""processes: the product's own definitions, and the organization in which the platform runs its own"""

from alembic import op

from migrations.ddl import as_owner, run, seeing

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

HIDDEN = ("organizations", "workflows", "workflow_versions", "workflow_executions")
PLATFORM = "00000000-0000-7000-8000-0000000000aa"

STATEMENTS = (
    "ALTER TABLE workflows ADD COLUMN process text",
    """
    -- squawk-ignore ban-drop-not-null
    ALTER TABLE workflows ALTER COLUMN created_by DROP NOT NULL
    """,
    """
    -- squawk-ignore constraint-missing-not-valid
    ALTER TABLE workflows ADD CONSTRAINT ck_workflows_created_by_known
      CHECK (created_by IS NOT NULL OR process IS NOT NULL)
    """,
    """
    -- squawk-ignore ban-drop-not-null
    ALTER TABLE workflow_versions ALTER COLUMN published_by DROP NOT NULL
    """,
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE UNIQUE INDEX uq_workflows_process ON workflows (organization_id, process) WHERE process IS NOT NULL
    """,
    # A process can start from a worker too, and then its definition has to get there.
    "GRANT INSERT, UPDATE (version, published_version_id, definition, updated_at) ON workflows TO app_worker",
    "GRANT INSERT ON workflow_versions TO app_worker",
)


@as_owner()
def upgrade() -> None:
    run(STATEMENTS)
    op.execute("SET LOCAL ROLE app_system")
    op.execute(
        f"INSERT INTO organizations (id, name, slug) VALUES ('{PLATFORM}', 'Perdure', 'perdure')"  # noqa: S608
    )


@as_owner()
def downgrade() -> None:
    op.execute("REVOKE INSERT ON workflow_versions FROM app_worker")
    op.execute(
        "REVOKE INSERT, UPDATE (version, published_version_id, definition, updated_at) ON workflows FROM app_worker"
    )
    op.execute("DROP INDEX uq_workflows_process")
    # Processes and their executions go with the column that tells them apart.
    with seeing(*HIDDEN):
        op.execute("UPDATE workflows SET published_version_id = NULL WHERE process IS NOT NULL")
        op.execute(
            "DELETE FROM workflow_executions AS e USING workflows AS w "
            "WHERE w.organization_id = e.organization_id AND w.id = e.workflow_id AND w.process IS NOT NULL"
        )
        op.execute("DELETE FROM workflows WHERE process IS NOT NULL")
        op.execute(f"DELETE FROM organizations WHERE id = '{PLATFORM}'")  # noqa: S608
    op.execute("ALTER TABLE workflow_versions ALTER COLUMN published_by SET NOT NULL")
    op.execute("ALTER TABLE workflows DROP CONSTRAINT ck_workflows_created_by_known")
    op.execute("ALTER TABLE workflows DROP COLUMN process, ALTER COLUMN created_by SET NOT NULL")

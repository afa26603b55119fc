"""gallery: templates that come with a release"""

from alembic import op

from migrations.ddl import as_owner, run, seeing

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE workflows ADD COLUMN gallery text",
    # What takes its place asks the same of every row that clients write.
    """
    -- squawk-ignore ban-drop-constraint
    ALTER TABLE workflows DROP CONSTRAINT ck_workflows_created_by_known
    """,
    """
    -- squawk-ignore constraint-missing-not-valid
    ALTER TABLE workflows ADD CONSTRAINT ck_workflows_created_by_known
      CHECK (created_by IS NOT NULL OR process IS NOT NULL OR gallery IS NOT NULL)
    """,
    # What stands for a shipped template is copied, never published and never run.
    """
    -- squawk-ignore constraint-missing-not-valid
    ALTER TABLE workflows ADD CONSTRAINT ck_workflows_gallery
      CHECK (gallery IS NULL OR (is_template AND process IS NULL AND status = 'draft'))
    """,
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE UNIQUE INDEX uq_workflows_gallery ON workflows (organization_id, gallery) WHERE gallery IS NOT NULL
    """,
)


@as_owner()
def upgrade() -> None:
    run(STATEMENTS)


@as_owner()
def downgrade() -> None:
    op.execute("DROP INDEX uq_workflows_gallery")
    # What was made from a shipped template stays; only the memory of where it came from goes.
    with seeing("workflows"):
        op.execute(
            "UPDATE workflows AS w SET template_id = NULL FROM workflows AS t "
            "WHERE t.organization_id = w.organization_id AND t.id = w.template_id AND t.gallery IS NOT NULL"
        )
        op.execute("DELETE FROM workflows WHERE gallery IS NOT NULL")
    op.execute("ALTER TABLE workflows DROP CONSTRAINT ck_workflows_gallery")
    op.execute("ALTER TABLE workflows DROP CONSTRAINT ck_workflows_created_by_known")
    op.execute("ALTER TABLE workflows DROP COLUMN gallery")
    op.execute(
        "-- squawk-ignore constraint-missing-not-valid\n"
        "ALTER TABLE workflows ADD CONSTRAINT ck_workflows_created_by_known "
        "CHECK (created_by IS NOT NULL OR process IS NOT NULL)"
    )

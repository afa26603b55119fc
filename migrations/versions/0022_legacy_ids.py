"""legacy ids: which row of the customer's earlier platform became which of ours"""

from alembic import op

from migrations.ddl import as_owner, isolated, run

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE legacy_ids (
      source_table text NOT NULL,
      source_id text NOT NULL,
      id uuid NOT NULL,
      imported_at timestamptz DEFAULT now() NOT NULL,
      CONSTRAINT pk_legacy_ids PRIMARY KEY (source_table, source_id),
      CONSTRAINT uq_legacy_ids_source_table_id UNIQUE (source_table, id)
    )
    """,
    # No policy and no grant: nobody reads it but the owner, who lets itself in for the time of an import.
    *isolated("legacy_ids"),
)


@as_owner()
def upgrade() -> None:
    run(STATEMENTS)


@as_owner()
def downgrade() -> None:
    op.execute("DROP TABLE legacy_ids")

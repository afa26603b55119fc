"""attempts at a step: when each began and ended, and why it is tried again"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL ROLE app_owner")
    # Empty for all but the few steps that are tried again: it fills no row.
    op.execute("ALTER TABLE execution_steps ADD COLUMN attempts jsonb")
    op.execute("RESET ROLE")


def downgrade() -> None:
    op.execute("SET LOCAL ROLE app_owner")
    op.execute("ALTER TABLE execution_steps DROP COLUMN attempts")
    op.execute("RESET ROLE")

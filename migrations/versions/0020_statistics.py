"""statistics: organization_stats, usage counters, retention"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

#: One statement each.
STATEMENTS: tuple[str, ...] = ()


def upgrade() -> None:
    op.execute("SET LOCAL ROLE app_owner")
    for statement in STATEMENTS:
        op.execute(statement)
    op.execute("RESET ROLE")


def downgrade() -> None:
    op.execute("SET LOCAL ROLE app_owner")
    op.execute("RESET ROLE")

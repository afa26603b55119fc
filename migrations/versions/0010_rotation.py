"""rotation: workers seal the secrets and bodies of webhooks again when a data key is renewed"""

from alembic import op

from migrations.ddl import as_owner

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

GRANTS = {
    "trigger_secrets": "SELECT (id, organization_id, sealed), UPDATE (sealed)",
    "deliveries": "UPDATE (body)",
}


@as_owner()
def upgrade() -> None:
    for table, privileges in GRANTS.items():
        op.execute(f"GRANT {privileges} ON {table} TO app_worker")


@as_owner()
def downgrade() -> None:
    for table, privileges in GRANTS.items():
        op.execute(f"REVOKE {privileges} ON {table} FROM app_worker")

"""asking: who holds a key or a session, entered and answered in one statement"""

from migrations.ddl import as_owner, asked, dropped, run

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STANDING = (
    "user_id uuid, organization_id uuid, role text, own_role boolean, role_permissions text[], "
    "permissions_override jsonb"
)

#: Each runs as whoever connected, who can only become the API's role if that was granted, as in app.enter.
FUNCTIONS = {
    f"app.ask_api_key(wanted text, moment timestamptz) RETURNS TABLE (id uuid, secret_sha256 text, scopes text[], "
    f"last_used_at timestamptz, {STANDING})": "SELECT * FROM app.identify_api_key(wanted, moment)",
    f"app.ask_session(session uuid, wanted uuid, moment timestamptz) RETURNS TABLE ({STANDING})": (
        "SELECT * FROM app.identify_session(session, wanted, moment)"
    ),
}


@as_owner()
def upgrade() -> None:
    for signature, question in FUNCTIONS.items():
        run(asked(signature, f"RETURN QUERY {question}"))


@as_owner()
def downgrade() -> None:
    run(dropped(FUNCTIONS))

"""standing: who a session or an API key is in its organization, answered in one call per request"""

from alembic import op

from migrations.ddl import as_owner, as_system, definer, dropped, run

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STANDING = (
    "user_id uuid, organization_id uuid, role text, own_role boolean, role_permissions text[], "
    "permissions_override jsonb"
)

DEFINERS = {
    f"app.identify_session(session uuid, wanted uuid, moment timestamptz) RETURNS TABLE ({STANDING}) "
    "LANGUAGE sql STABLE": """
        SELECT u.id, m.organization_id, r.name, r.organization_id IS NOT NULL, coalesce(r.permissions, '{}'),
          coalesce(m.permissions_override, '{}')
        FROM public.sessions AS s
        JOIN public.users AS u ON u.id = s.user_id AND u.is_active
        LEFT JOIN LATERAL (
          SELECT x.organization_id, x.role_id, x.permissions_override
          FROM public.user_organizations AS x
          JOIN public.organizations AS o ON o.id = x.organization_id AND o.is_active
          WHERE x.user_id = u.id AND x.status = 'active' AND (wanted IS NULL OR x.organization_id = wanted)
          ORDER BY (x.organization_id = u.default_organization_id) IS TRUE DESC, x.created_at, x.id
          LIMIT 1) AS m ON true
        LEFT JOIN public.roles AS r ON r.id = m.role_id
        WHERE s.id = session AND s.revoked_at IS NULL AND s.expires_at > moment
    """,
    f"app.identify_api_key(wanted text, moment timestamptz) RETURNS TABLE (id uuid, secret_sha256 text, "
    f"scopes text[], last_used_at timestamptz, {STANDING}) LANGUAGE sql STABLE": """
        SELECT k.id, k.secret_sha256, k.scopes, k.last_used_at, u.id, k.organization_id, r.name,
          r.organization_id IS NOT NULL, r.permissions, m.permissions_override
        FROM public.api_keys AS k
        JOIN public.users AS u ON u.id = k.user_id AND u.is_active
        JOIN public.organizations AS o ON o.id = k.organization_id AND o.is_active
        JOIN public.user_organizations AS m
          ON m.organization_id = k.organization_id AND m.user_id = k.user_id AND m.status = 'active'
        JOIN public.roles AS r ON r.id = m.role_id
        WHERE k.key_id = wanted AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > moment)
    """,
}


@as_owner()
def upgrade() -> None:
    with as_system():
        op.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
        for signature, body in DEFINERS.items():
            run(definer(signature, body, "app_api"))


@as_owner()
def downgrade() -> None:
    run(dropped(DEFINERS))

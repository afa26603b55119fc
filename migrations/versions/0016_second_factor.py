"""second factor: TOTP, backup codes, trusted devices, confirmed sessions"""

from alembic import op

from migrations.ddl import as_owner, as_system, asked, definer, granted, isolated, policy, run, touched

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

#: The customer's `backup_codes` arrays became rows, `device_id` the hash of a random cookie.
TABLES = """
CREATE TABLE user_mfa (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  user_id uuid NOT NULL,
  mfa_enabled boolean DEFAULT false NOT NULL,
  mfa_enforced boolean DEFAULT false NOT NULL,
  totp_secret text,
  pending_secret text,
  pending_until timestamptz,
  last_timecode bigint,
  enrolled_at timestamptz,
  last_verified timestamptz,
  created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_user_mfa PRIMARY KEY (id),
  CONSTRAINT uq_user_mfa_user_id UNIQUE (user_id),
  CONSTRAINT ck_user_mfa_secret CHECK (totp_secret IS NOT NULL OR NOT mfa_enabled),
  CONSTRAINT fk_user_mfa_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE TABLE backup_codes (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  user_id uuid NOT NULL,
  selector text NOT NULL,
  secret_hash text NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  used_at timestamptz,
  CONSTRAINT pk_backup_codes PRIMARY KEY (id),
  CONSTRAINT uq_backup_codes_user_id_selector UNIQUE (user_id, selector),
  CONSTRAINT fk_backup_codes_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE TABLE trusted_devices (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  user_id uuid NOT NULL,
  device_id text NOT NULL,
  device_name text,
  ip_address text,
  user_agent text,
  expires_at timestamptz NOT NULL,
  last_used timestamptz,
  created_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_trusted_devices PRIMARY KEY (id),
  CONSTRAINT uq_trusted_devices_device_id UNIQUE (device_id),
  CONSTRAINT fk_trusted_devices_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX ix_trusted_devices_user_id ON trusted_devices (user_id);

ALTER TABLE sessions
  ADD COLUMN confirmed_at timestamptz,
  ADD COLUMN last_seen_at timestamptz,
  ADD COLUMN ends_at timestamptz,
  ADD COLUMN successor_id uuid;

ALTER TABLE api_keys ADD COLUMN replaces uuid;

-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX uq_api_keys_replaces ON api_keys (organization_id, replaces);

-- squawk-ignore adding-foreign-key-constraint, constraint-missing-not-valid
ALTER TABLE api_keys ADD CONSTRAINT fk_api_keys_replaces
  FOREIGN KEY (organization_id, replaces) REFERENCES api_keys (organization_id, id);
"""

CREATED = ("user_mfa", "backup_codes", "trusted_devices")
MINE = "user_id = (SELECT app.me())"
GRANTS = {
    "user_mfa": {
        "app_api": "SELECT, INSERT, UPDATE, DELETE",
        # Rotation seals again what is people's as the system.
        "app_system": "SELECT (id, user_id, mfa_enabled, totp_secret, pending_secret), "
        "UPDATE (mfa_enforced, totp_secret, pending_secret)",
    },
    "backup_codes": {"app_api": "SELECT, INSERT, UPDATE (used_at), DELETE"},
    "trusted_devices": {
        "app_api": "SELECT, INSERT, UPDATE (device_name, last_used), DELETE",
        "app_system": "SELECT, DELETE",
    },
    "sessions": {
        "app_api": "SELECT (confirmed_at, last_seen_at, ends_at), UPDATE (confirmed_at, last_seen_at)"
    },
    "api_keys": {"app_api": "SELECT (replaces)"},
    # Sealed before it comes here, and read by nobody over the API.
    "users": {"app_api": "UPDATE (national_id, national_id_type)"},
}
POLICIES = (
    *(f"CREATE POLICY self ON {table} TO app_api USING ({MINE}) WITH CHECK ({MINE})" for table in CREATED),
    policy("system", "user_mfa"),
    policy("system", "trusted_devices"),
)

OLD_STANDING = (
    "user_id uuid, organization_id uuid, role text, own_role boolean, role_permissions text[], "
    "permissions_override jsonb"
)
STANDING = f"{OLD_STANDING}, mfa_due boolean"
OF_SESSION = f"{STANDING}, confirmed_at timestamptz, last_seen_at timestamptz, idle boolean"
OF_KEY = "id uuid, secret_sha256 text, scopes text[], last_used_at timestamptz"

#: Replaced functions: what their answers tell changes, so they are made anew. (signature → body), newest first.
IDENTIFY = {
    f"app.identify_session(session uuid, wanted uuid, moment timestamptz) RETURNS TABLE ({OF_SESSION})": """
        SELECT u.id, m.organization_id, r.name, r.organization_id IS NOT NULL, coalesce(r.permissions, '{}'),
          coalesce(m.permissions_override, '{}'), coalesce(m.mfa_required, false) AND f.user_id IS NULL,
          s.confirmed_at, coalesce(s.last_seen_at, s.created_at),
          coalesce(s.last_seen_at, s.created_at) < moment - least(strictest.idle, interval '14 days')
        FROM public.sessions AS s
        JOIN public.users AS u ON u.id = s.user_id AND u.is_active
        LEFT JOIN public.user_mfa AS f ON f.user_id = u.id AND f.mfa_enabled
        LEFT JOIN LATERAL (
          SELECT x.organization_id, x.role_id, x.permissions_override,
            o.settings @> '{"mfa_required": true}' AS mfa_required
          FROM public.user_organizations AS x
          JOIN public.organizations AS o ON o.id = x.organization_id AND o.is_active
          WHERE x.user_id = u.id AND x.status = 'active' AND (wanted IS NULL OR x.organization_id = wanted)
          ORDER BY (x.organization_id = s.active_organization_id) IS TRUE DESC,
            (x.organization_id = u.default_organization_id) IS TRUE DESC, x.created_at, x.id
          LIMIT 1) AS m ON true
        -- Of all their organizations: a look into one without a limit would wake the session for the others.
        LEFT JOIN LATERAL (
          SELECT make_interval(mins => min(given.minutes)::integer) AS idle
          FROM (
            SELECT CASE WHEN jsonb_typeof(o.settings -> 'session_idle_minutes') = 'number'
              THEN (o.settings ->> 'session_idle_minutes')::numeric END AS minutes
            FROM public.user_organizations AS x
            JOIN public.organizations AS o ON o.id = x.organization_id AND o.is_active
            WHERE x.user_id = u.id AND x.status = 'active') AS given
          -- What no setting can be (an imported row's) is none, and locks nobody out.
          WHERE given.minutes BETWEEN 5 AND 43200) AS strictest ON true
        LEFT JOIN public.roles AS r ON r.id = m.role_id
        WHERE s.id = session AND s.revoked_at IS NULL AND s.expires_at > moment
    """,
    f"app.identify_api_key(wanted text, moment timestamptz) RETURNS TABLE ({OF_KEY}, {STANDING})": """
        SELECT k.id, k.secret_sha256, k.scopes, k.last_used_at, u.id, k.organization_id, r.name,
          r.organization_id IS NOT NULL, r.permissions, m.permissions_override,
          o.settings @> '{"mfa_required": true}' AND f.user_id IS NULL
        FROM public.api_keys AS k
        JOIN public.users AS u ON u.id = k.user_id AND u.is_active
        JOIN public.organizations AS o ON o.id = k.organization_id AND o.is_active
        JOIN public.user_organizations AS m
          ON m.organization_id = k.organization_id AND m.user_id = k.user_id AND m.status = 'active'
        JOIN public.roles AS r ON r.id = m.role_id
        LEFT JOIN public.user_mfa AS f ON f.user_id = u.id AND f.mfa_enabled
        WHERE k.key_id = wanted AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > moment)
    """,
}
#: As migration 0005 made them.
OLD_IDENTIFY = {
    f"app.identify_session(session uuid, wanted uuid, moment timestamptz) RETURNS TABLE ({OLD_STANDING})": """
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
    f"app.identify_api_key(wanted text, moment timestamptz) RETURNS TABLE ({OF_KEY}, {OLD_STANDING})": """
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


def asking(of_key: str, of_session: str) -> dict[str, str]:
    """What enters as the API and asks, as whoever connected: one statement per request."""
    return {
        f"app.ask_api_key(wanted text, moment timestamptz) RETURNS TABLE ({OF_KEY}, {of_key})": (
            "SELECT * FROM app.identify_api_key(wanted, moment)"
        ),
        f"app.ask_session(session uuid, wanted uuid, moment timestamptz) RETURNS TABLE ({of_session})": (
            "SELECT * FROM app.identify_session(session, wanted, moment)"
        ),
    }


OLD_OPEN = (
    "app.open_session(new_session jsonb) RETURNS void LANGUAGE sql VOLATILE",
    """
    INSERT INTO public.sessions (id, user_id, family_id, refresh_sha256, csrf_sha256, active_organization_id,
      user_agent, ip_address, expires_at)
    SELECT coalesce(id, gen_random_uuid()), user_id, family_id, refresh_sha256, csrf_sha256,
      active_organization_id, user_agent, ip_address, expires_at
    FROM jsonb_to_record(new_session) AS given(id uuid, user_id uuid, family_id uuid, refresh_sha256 text,
      csrf_sha256 text, active_organization_id uuid, user_agent text, ip_address text, expires_at timestamptz)
    """,
)
OPEN = (
    OLD_OPEN[0],
    """
    INSERT INTO public.sessions (id, user_id, family_id, refresh_sha256, csrf_sha256, active_organization_id,
      user_agent, ip_address, expires_at, ends_at, confirmed_at, last_seen_at)
    SELECT coalesce(id, gen_random_uuid()), user_id, family_id, refresh_sha256, csrf_sha256,
      active_organization_id, user_agent, ip_address, expires_at, ends_at, confirmed_at, last_seen_at
    FROM jsonb_to_record(new_session) AS given(id uuid, user_id uuid, family_id uuid, refresh_sha256 text,
      csrf_sha256 text, active_organization_id uuid, user_agent text, ip_address text, expires_at timestamptz,
      ends_at timestamptz, confirmed_at timestamptz, last_seen_at timestamptz)
    """,
)
DEFINERS = {
    # A retry gets the id of the pair already made, from which its token is derived again: never a second pair,
    # so a thief and the owner can not both go on unnoticed. Once the new token was used, the old one is reuse.
    "app.renew_session(old_sha256 text, new_session jsonb, moment timestamptz, grace interval) "
    "RETURNS TABLE (outcome text, session_id uuid, user_id uuid) LANGUAGE plpgsql VOLATILE": """
        DECLARE
          old public.sessions;
          given record;
        BEGIN
          SELECT * INTO given FROM jsonb_to_record(new_session) AS new(id uuid, refresh_sha256 text,
            user_agent text, ip_address text, expires_at timestamptz);
          -- The row lock makes two refreshes with one token take turns: the second finds it rotated.
          SELECT * INTO old FROM public.sessions AS s WHERE s.refresh_sha256 = old_sha256 FOR UPDATE;
          user_id := old.user_id;
          IF old.id IS NULL THEN
            outcome := 'unknown';
          ELSIF NOT (SELECT u.is_active FROM public.users AS u WHERE u.id = old.user_id) THEN
            outcome := 'inactive';
          ELSIF old.rotated_at IS NOT NULL AND old.revoked_at IS NULL AND old.rotated_at > moment - grace THEN
            SELECT s.id INTO session_id FROM public.sessions AS s
            WHERE s.id = old.successor_id AND s.rotated_at IS NULL AND s.revoked_at IS NULL
              AND s.expires_at > moment AND s.ip_address IS NOT DISTINCT FROM given.ip_address
              AND s.user_agent IS NOT DISTINCT FROM given.user_agent;
            outcome := CASE WHEN session_id IS NULL THEN 'reused' ELSE 'repeated' END;
          ELSIF old.rotated_at IS NOT NULL OR old.revoked_at IS NOT NULL THEN
            outcome := 'reused';
          ELSIF old.expires_at <= moment THEN
            outcome := 'expired';
          ELSE
            session_id := given.id;
            outcome := 'rotated';
            UPDATE public.sessions AS s SET rotated_at = moment, successor_id = given.id WHERE s.id = old.id;
            INSERT INTO public.sessions (id, user_id, family_id, refresh_sha256, csrf_sha256,
              active_organization_id, user_agent, ip_address, expires_at, ends_at, confirmed_at, last_seen_at)
            VALUES (given.id, old.user_id, old.family_id, given.refresh_sha256, old.csrf_sha256,
              old.active_organization_id, given.user_agent, given.ip_address,
              least(given.expires_at, coalesce(old.ends_at, old.expires_at)),
              coalesce(old.ends_at, old.expires_at), old.confirmed_at, coalesce(old.last_seen_at, old.created_at));
          END IF;
          IF outcome = 'reused' THEN
            UPDATE public.sessions AS s SET revoked_at = moment
            WHERE s.family_id = old.family_id AND s.revoked_at IS NULL;
          END IF;
          RETURN NEXT;
        END
    """,
    # Asked where a session is opened by password: whoever replaces the password waits, or has been waited for.
    "app.keeps_password(member uuid, matched text) RETURNS boolean LANGUAGE sql VOLATILE": """
        SELECT EXISTS (SELECT FROM public.users AS u WHERE u.id = member AND u.password = matched FOR SHARE)
    """,
    "app.mfa_required(member uuid) RETURNS boolean LANGUAGE sql STABLE": """
        SELECT EXISTS (
          SELECT FROM public.user_organizations AS m JOIN public.organizations AS o ON o.id = m.organization_id
          WHERE m.user_id = member AND m.status = 'active' AND o.is_active
            AND o.settings @> '{"mfa_required": true}')
    """,
}
#: `mfa_enforced` is the customer's column: a projection of the policies of all organizations one belongs to.
PROJECTION = """
CREATE FUNCTION app.project_mfa_policy() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
  IF TG_TABLE_NAME = 'organizations' THEN
    UPDATE public.user_mfa AS f SET mfa_enforced = app.mfa_required(f.user_id)
    FROM public.user_organizations AS m WHERE m.organization_id = NEW.id AND m.user_id = f.user_id;
  ELSE
    UPDATE public.user_mfa AS f SET mfa_enforced = app.mfa_required(f.user_id)
    WHERE f.user_id = coalesce(NEW.user_id, OLD.user_id);
  END IF;
  RETURN NULL;
END $$
"""
#: A number somebody typed is not the one that was proven. Only the API's role types; a verification is a definer.
UNPROVEN = """
CREATE FUNCTION app.unproven_phone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_user = 'app_api' AND NEW.phone IS DISTINCT FROM OLD.phone THEN
    NEW.phone_verified := false;
    NEW.phone_verified_at := NULL;
  END IF;
  RETURN NEW;
END $$
"""
TRIGGERS = (
    touched("user_mfa"),
    "CREATE TRIGGER unproven_phone BEFORE UPDATE OF phone ON users "
    "FOR EACH ROW EXECUTE FUNCTION app.unproven_phone()",
    "CREATE TRIGGER mfa_policy AFTER UPDATE OF settings, is_active ON organizations FOR EACH ROW "
    "WHEN (OLD.settings IS DISTINCT FROM NEW.settings OR OLD.is_active IS DISTINCT FROM NEW.is_active) "
    "EXECUTE FUNCTION app.project_mfa_policy()",
    "CREATE TRIGGER mfa_policy AFTER INSERT OR DELETE OR UPDATE OF status ON user_organizations FOR EACH ROW "
    "EXECUTE FUNCTION app.project_mfa_policy()",
)


@as_owner()
def upgrade() -> None:
    run(filter(str.strip, TABLES.split(";\n")))
    run(isolated(*CREATED))
    run(POLICIES)
    run(granted(GRANTS))
    # What they answer grows by columns, which only making them anew can do. app.rotate_session stays for processes
    # of the version before, which may refresh while this one is rolled out.
    for name in ("ask_session", "ask_api_key", "identify_session", "identify_api_key"):
        op.execute(f"-- squawk-ignore ban-drop-function\nDROP FUNCTION app.{name}")
    define({f"{signature} LANGUAGE sql STABLE": body for signature, body in IDENTIFY.items()} | DEFINERS)
    replace(*OPEN)
    ask(asking(STANDING, OF_SESSION))
    with as_system():
        op.execute(PROJECTION.replace(":", "\\:"))
        op.execute("GRANT EXECUTE ON FUNCTION app.project_mfa_policy TO app_owner")
    op.execute(UNPROVEN.replace(":", "\\:"))
    run(TRIGGERS)


@as_owner()
def downgrade() -> None:
    for table in ("organizations", "user_organizations"):
        op.execute(f"DROP TRIGGER mfa_policy ON {table}")
    op.execute("DROP TRIGGER unproven_phone ON users")
    op.execute("DROP FUNCTION app.unproven_phone")
    for name in ("ask_session", "ask_api_key", "identify_session", "identify_api_key", "renew_session",
                 "project_mfa_policy", "mfa_required", "keeps_password"):  # fmt: skip
        op.execute(f"DROP FUNCTION app.{name}")
    define({f"{signature} LANGUAGE sql STABLE": body for signature, body in OLD_IDENTIFY.items()})
    replace(*OLD_OPEN)
    ask(asking(OLD_STANDING, OLD_STANDING))
    for table in CREATED:
        op.execute(f"DROP TABLE {table}")
    op.execute("REVOKE UPDATE (national_id, national_id_type) ON users FROM app_api")
    op.execute("ALTER TABLE api_keys DROP COLUMN replaces")
    op.execute(
        "ALTER TABLE sessions DROP COLUMN confirmed_at, DROP COLUMN last_seen_at, DROP COLUMN ends_at, "
        "DROP COLUMN successor_id"
    )


def define(functions: dict[str, str]) -> None:
    """Definer functions of app_system for the API."""
    with as_system():
        for signature, body in functions.items():
            run(definer(signature, body, "app_api"))


def replace(signature: str, body: str) -> None:
    """Another body for a definer function of app_system; whoever may call it still may."""
    with as_system():
        op.execute(
            f"CREATE OR REPLACE FUNCTION {signature} SECURITY DEFINER SET search_path = '' AS $${body}$$"
        )


def ask(functions: dict[str, str]) -> None:
    for signature, question in functions.items():
        run(asked(signature, f"RETURN QUERY {question}"))

"""entrances: how a transaction enters an organization, and the few things possible before it has"""

from alembic import op

from migrations.ddl import as_owner, as_system, definer, dropped, run

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

#: Runs as whoever connected: it can only become a role that login was granted.
ENTER = """
CREATE FUNCTION app.enter(wanted text, organization uuid, member uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF wanted NOT IN ('app_api', 'app_worker', 'app_system') THEN
    RAISE invalid_parameter_value USING MESSAGE = format('app.enter: %s is not a role of the application', wanted);
  END IF;
  IF wanted = 'app_worker' AND organization IS NULL THEN
    RAISE invalid_parameter_value USING MESSAGE = 'app.enter: a worker acts for one organization';
  END IF;
  IF wanted = 'app_api' AND organization IS NOT NULL AND member IS NULL THEN
    RAISE invalid_parameter_value USING MESSAGE = 'app.enter: the API enters an organization as one of its members';
  END IF;
  PERFORM pg_catalog.set_config('role', wanted, true),
          pg_catalog.set_config('app.org_id', coalesce(organization::text, ''), true),
          pg_catalog.set_config('app.user_id', coalesce(member::text, ''), true);
  IF member IS NOT NULL AND NOT app.may_enter(organization, member) THEN
    RAISE EXCEPTION 'no active membership' USING ERRCODE = 'PD403';
  END IF;
END $$
"""

#: Name and arguments → body and who may call. Each runs as app_system, with nothing on its search path.
DEFINERS = {
    "app.may_enter(organization uuid, member uuid) RETURNS boolean LANGUAGE sql STABLE": (
        "app_api, app_worker, app_system",
        """
        SELECT EXISTS (SELECT FROM public.users WHERE id = member AND is_active)
          AND (organization IS NULL OR EXISTS (
            SELECT FROM public.user_organizations AS m JOIN public.organizations AS o ON o.id = m.organization_id
            WHERE m.user_id = member AND m.organization_id = organization AND m.status = 'active' AND o.is_active))
        """,
    ),
    "app.register(new_user jsonb, new_organization jsonb) RETURNS void LANGUAGE plpgsql VOLATILE": (
        "app_api",
        """
        DECLARE
          founder uuid;
          founded uuid;
        BEGIN
          INSERT INTO public.users
            (id, username, email, password, first_name, last_name, phone, country_code, country, role_id)
          SELECT coalesce(id, gen_random_uuid()), username, email, password, first_name, last_name, phone,
            coalesce(country_code, '+1'), coalesce(country, 'US'), '00000000-0000-7000-8000-000000000004'
          FROM jsonb_to_record(new_user) AS given(id uuid, username text, email text, password text,
            first_name text, last_name text, phone text, country_code text, country text)
          RETURNING id INTO founder;
          INSERT INTO public.organizations
            (id, name, slug, domain, description, website, industry, company_size, country, timezone, settings,
             created_by)
          SELECT coalesce(id, gen_random_uuid()), name, slug, domain, description, website, industry, company_size,
            coalesce(country, 'US'), coalesce(timezone, 'UTC'), coalesce(settings, '{}'), founder
          FROM jsonb_to_record(new_organization) AS given(id uuid, name text, slug text, domain text,
            description text, website text, industry text, company_size text, country text, timezone text,
            settings jsonb)
          RETURNING id INTO founded;
          INSERT INTO public.user_organizations (user_id, organization_id, role_id, status, joined_at)
          VALUES (founder, founded, '00000000-0000-7000-8000-000000000001', 'active', now());
          UPDATE public.users SET default_organization_id = founded WHERE id = founder;
        END
        """,
    ),
    "app.login(email text) RETURNS TABLE (user_id uuid, password text, is_active boolean, email_verified boolean, "
    "default_organization_id uuid) LANGUAGE sql STABLE": (
        "app_api",
        """
        SELECT u.id, u.password, u.is_active, u.email_verified, u.default_organization_id
        FROM public.users AS u WHERE lower(u.email) = lower(login.email)
        """,
    ),
    "app.set_password(user_id uuid, old text, new text) RETURNS boolean LANGUAGE sql VOLATILE": (
        "app_api",
        """
        WITH changed AS (
          UPDATE public.users SET password = set_password.new
          WHERE id = set_password.user_id AND password = set_password.old RETURNING 1)
        SELECT EXISTS (SELECT FROM changed)
        """,
    ),
    "app.open_session(new_session jsonb) RETURNS void LANGUAGE sql VOLATILE": (
        "app_api",
        """
        INSERT INTO public.sessions (id, user_id, family_id, refresh_sha256, csrf_sha256, active_organization_id,
          user_agent, ip_address, expires_at)
        SELECT coalesce(id, gen_random_uuid()), user_id, family_id, refresh_sha256, csrf_sha256,
          active_organization_id, user_agent, ip_address, expires_at
        FROM jsonb_to_record(new_session) AS given(id uuid, user_id uuid, family_id uuid, refresh_sha256 text,
          csrf_sha256 text, active_organization_id uuid, user_agent text, ip_address text, expires_at timestamptz)
        """,
    ),
    "app.find_session(refresh_sha256 text) RETURNS TABLE (id uuid, user_id uuid, family_id uuid, csrf_sha256 text, "
    "active_organization_id uuid, expires_at timestamptz, rotated_at timestamptz, revoked_at timestamptz, "
    "user_is_active boolean) LANGUAGE sql STABLE": (
        "app_api",
        """
        SELECT s.id, s.user_id, s.family_id, s.csrf_sha256, s.active_organization_id, s.expires_at, s.rotated_at,
          s.revoked_at, u.is_active
        FROM public.sessions AS s JOIN public.users AS u ON u.id = s.user_id
        WHERE s.refresh_sha256 = find_session.refresh_sha256
        """,
    ),
    "app.rotate_session(old_sha256 text, new_session jsonb, moment timestamptz) RETURNS text "
    "LANGUAGE plpgsql VOLATILE": (
        "app_api",
        """
        DECLARE
          old public.sessions;
        BEGIN
          -- The row lock makes two refreshes with one token take turns: the second finds it rotated.
          SELECT * INTO old FROM public.sessions WHERE refresh_sha256 = old_sha256 FOR UPDATE;
          IF NOT FOUND THEN
            RETURN 'unknown';
          ELSIF old.revoked_at IS NOT NULL OR old.rotated_at IS NOT NULL THEN
            UPDATE public.sessions SET revoked_at = moment
            WHERE family_id = old.family_id AND revoked_at IS NULL;
            RETURN 'reused';
          ELSIF old.expires_at <= moment THEN
            RETURN 'expired';
          ELSIF NOT (SELECT is_active FROM public.users WHERE id = old.user_id) THEN
            RETURN 'inactive';
          END IF;
          UPDATE public.sessions SET rotated_at = moment WHERE id = old.id;
          INSERT INTO public.sessions (id, user_id, family_id, refresh_sha256, csrf_sha256,
            active_organization_id, user_agent, ip_address, expires_at)
          SELECT coalesce(id, gen_random_uuid()), old.user_id, old.family_id, refresh_sha256, csrf_sha256,
            coalesce(active_organization_id, old.active_organization_id), user_agent, ip_address, expires_at
          FROM jsonb_to_record(new_session) AS given(id uuid, refresh_sha256 text, csrf_sha256 text,
            active_organization_id uuid, user_agent text, ip_address text, expires_at timestamptz);
          RETURN 'rotated';
        END
        """,
    ),
    "app.revoke_session_family(family uuid, moment timestamptz) RETURNS integer LANGUAGE sql VOLATILE": (
        "app_api",
        """
        WITH revoked AS (
          UPDATE public.sessions SET revoked_at = moment
          WHERE family_id = family AND revoked_at IS NULL RETURNING 1)
        SELECT count(*)::integer FROM revoked
        """,
    ),
    "app.my_organizations(member uuid) RETURNS TABLE (organization_id uuid, name text, slug text, role_id uuid, "
    "role text, status text) LANGUAGE sql STABLE": (
        "app_api",
        """
        SELECT o.id, o.name, o.slug, m.role_id, r.name, m.status
        FROM public.user_organizations AS m
        JOIN public.organizations AS o ON o.id = m.organization_id
        JOIN public.roles AS r ON r.id = m.role_id
        WHERE m.user_id = member AND o.is_active
        ORDER BY o.name, o.id
        """,
    ),
}

#: Owned by app_owner, because it creates tables; called monthly by the sweep, harmless to repeat.
PARTITIONS = """
CREATE FUNCTION app.make_partitions(ahead integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  first timestamptz;
  next timestamptz;
  part text;
  made integer := 0;
BEGIN
  LOCK TABLE public.activity_logs IN SHARE UPDATE EXCLUSIVE MODE;
  FOR month IN 0..ahead LOOP
    first := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => month)) AT TIME ZONE 'UTC';
    next := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => month + 1))
      AT TIME ZONE 'UTC';
    part := to_char(first AT TIME ZONE 'UTC', '"activity_logs_y"YYYY"m"MM');
    CONTINUE WHEN to_regclass('public.' || part) IS NOT NULL;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.activity_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
      part);
    -- Rows of a month nobody prepared wait in the default partition, which FORCE hides even from its owner.
    ALTER TABLE public.activity_logs_default NO FORCE ROW LEVEL SECURITY;
    EXECUTE format('WITH moved AS (DELETE FROM public.activity_logs_default '
      'WHERE created_at >= %L AND created_at < %L RETURNING *) INSERT INTO public.%I SELECT * FROM moved',
      first, next, part);
    ALTER TABLE public.activity_logs_default FORCE ROW LEVEL SECURITY;
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', part);
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', part);
    EXECUTE format('ALTER TABLE public.activity_logs ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
      part, first, next);
    made := made + 1;
  END LOOP;
  RETURN made;
END $$
"""


def upgrade() -> None:
    # app_system may create in the schema only while these functions become its own.
    op.execute("SET LOCAL ROLE app_owner")
    with as_system():
        op.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
        for signature, (callers, body) in DEFINERS.items():
            run(definer(signature, body, callers))
    op.execute(ENTER.replace(":", "\\:"))
    op.execute("GRANT EXECUTE ON FUNCTION app.enter TO PUBLIC")
    op.execute(PARTITIONS.replace(":", "\\:"))
    op.execute("GRANT EXECUTE ON FUNCTION app.make_partitions TO app_system")
    op.execute("SELECT app.make_partitions(3)")
    op.execute("RESET ROLE")


@as_owner()
def downgrade() -> None:
    op.execute("DROP FUNCTION app.make_partitions")
    op.execute("DROP FUNCTION app.enter")
    run(dropped(DEFINERS))

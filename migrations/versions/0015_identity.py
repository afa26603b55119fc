"""identity: tokens sent by mail and phone, registrations waiting for their mail, attempts counted together"""

from alembic import op

from migrations.ddl import as_owner, as_system, asked, definer, dropped, isolated, run

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

PLATFORM = "00000000-0000-7000-8000-0000000000aa"
#: Of people before any organization: definer functions alone touch them.
TABLES = {
    "auth_tokens": """
    CREATE TABLE auth_tokens (
      id uuid DEFAULT gen_random_uuid() NOT NULL,
      user_id uuid,
      purpose text NOT NULL,
      token_sha256 text NOT NULL,
      target text,
      attempts integer DEFAULT '0' NOT NULL,
      created_at timestamptz DEFAULT now() NOT NULL,
      expires_at timestamptz NOT NULL,
      used_at timestamptz,
      CONSTRAINT pk_auth_tokens PRIMARY KEY (id),
      CONSTRAINT uq_auth_tokens_token_sha256 UNIQUE (token_sha256),
      CONSTRAINT ck_auth_tokens_purpose CHECK (purpose IN ('verify_email', 'reset_password', 'change_email',
        'verify_phone', 'mfa_challenge', 'invitation', 'export')),
      CONSTRAINT fk_auth_tokens_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
    )
    """,
    "registrations": """
    CREATE TABLE registrations (
      id uuid DEFAULT gen_random_uuid() NOT NULL,
      email text NOT NULL,
      password text NOT NULL,
      first_name text,
      last_name text,
      organization_name text NOT NULL,
      slug text NOT NULL,
      token_sha256 text NOT NULL,
      created_at timestamptz DEFAULT now() NOT NULL,
      expires_at timestamptz NOT NULL,
      CONSTRAINT pk_registrations PRIMARY KEY (id),
      CONSTRAINT uq_registrations_token_sha256 UNIQUE (token_sha256)
    )
    """,
    "login_attempts": """
    CREATE TABLE login_attempts (
      key text NOT NULL,
      failures double precision NOT NULL,
      last_at timestamptz NOT NULL,
      blocked_until timestamptz,
      expires_at timestamptz NOT NULL,
      CONSTRAINT pk_login_attempts PRIMARY KEY (key)
    )
    """,
}
INDEXES = (
    "CREATE INDEX ix_auth_tokens_user_id ON auth_tokens (user_id, purpose)",
    "CREATE INDEX ix_auth_tokens_expires_at ON auth_tokens (expires_at)",
    "CREATE INDEX ix_registrations_email ON registrations (lower(email), created_at)",
    "CREATE INDEX ix_registrations_expires_at ON registrations (expires_at)",
    "CREATE INDEX ix_login_attempts_expires_at ON login_attempts (expires_at)",
)
#: Beyond what 0003 gave: the verdicts that only these functions pronounce.
VERDICTS = (
    "UPDATE (email, username, email_verified, email_verified_at, phone, country_code, phone_verified, "
    "phone_verified_at)"
)

#: A worker may ask about accounts only while it acts for the platform itself.
AT_HOME = f"app.org() = '{PLATFORM}'"

#: Name and arguments → who may call, and the body. Each runs as app_system, with nothing on its search path.
DEFINERS = {
    "app.issue_token(new_token jsonb) RETURNS void LANGUAGE sql VOLATILE": (
        "app_api, app_worker",
        """
        INSERT INTO public.auth_tokens (id, user_id, purpose, token_sha256, target, expires_at)
        SELECT coalesce(id, gen_random_uuid()), user_id, purpose, token_sha256, target, expires_at
        FROM jsonb_to_record(new_token) AS given(id uuid, user_id uuid, purpose text, token_sha256 text,
          target text, expires_at timestamptz)
        """,
    ),
    "app.find_token(wanted text, wanted_purpose text, moment timestamptz) "
    "RETURNS TABLE (id uuid, user_id uuid, target text, email text) LANGUAGE sql STABLE": (
        "app_api",
        """
        SELECT t.id, t.user_id, t.target, u.email
        FROM public.auth_tokens AS t JOIN public.users AS u ON u.id = t.user_id
        WHERE t.token_sha256 = wanted AND t.purpose = wanted_purpose AND t.used_at IS NULL
          AND t.expires_at > moment AND u.is_active
        """,
    ),
    "app.attempt_token(wanted text, wanted_purpose text, moment timestamptz, most integer) "
    "RETURNS TABLE (id uuid, user_id uuid, target text, attempts integer) LANGUAGE sql VOLATILE": (
        "app_api",
        """
        UPDATE public.auth_tokens AS t SET attempts = t.attempts + 1
        WHERE t.token_sha256 = wanted AND t.purpose = wanted_purpose AND t.used_at IS NULL
          AND t.expires_at > moment AND t.attempts < most
        RETURNING t.id, t.user_id, t.target, t.attempts
        """,
    ),
    "app.consume_token(wanted text, wanted_purpose text, moment timestamptz) "
    "RETURNS TABLE (id uuid, user_id uuid, target text) LANGUAGE sql VOLATILE": (
        "app_api",
        """
        UPDATE public.auth_tokens AS t SET used_at = moment
        WHERE t.token_sha256 = wanted AND t.purpose = wanted_purpose AND t.used_at IS NULL
          AND t.expires_at > moment AND t.user_id IS NOT NULL
        RETURNING t.id, t.user_id, t.target
        """,
    ),
    # What a mail is to be sent about, asked by the worker that sends it: nothing is said where nobody is.
    "app.reset_of(token uuid, moment timestamptz) RETURNS TABLE (email text) LANGUAGE sql VOLATILE": (
        "app_worker",
        """
        UPDATE public.auth_tokens AS t SET user_id = u.id FROM public.users AS u
        WHERE t.id = token AND t.purpose = 'reset_password' AND t.used_at IS NULL AND t.expires_at > moment
          AND lower(u.email) = lower(t.target) AND u.is_active AND AT_HOME
        RETURNING u.email
        """,
    ),
    "app.email_change_of(token uuid, moment timestamptz) "
    "RETURNS TABLE (email text, new_email text, is_taken boolean) LANGUAGE sql STABLE": (
        "app_worker",
        """
        SELECT u.email, t.target,
          EXISTS (SELECT FROM public.users AS o WHERE lower(o.email) = lower(t.target) AND o.id <> u.id)
        FROM public.auth_tokens AS t JOIN public.users AS u ON u.id = t.user_id
        WHERE t.id = token AND t.purpose = 'change_email' AND t.used_at IS NULL AND t.expires_at > moment
          AND AT_HOME
        """,
    ),
    "app.code_of(token uuid, moment timestamptz) RETURNS TABLE (phone text) LANGUAGE sql STABLE": (
        "app_worker",
        """
        SELECT t.target FROM public.auth_tokens AS t
        WHERE t.id = token AND t.purpose = 'verify_phone' AND t.used_at IS NULL AND t.expires_at > moment
          AND AT_HOME
        """,
    ),
    "app.registration_of(registration uuid, moment timestamptz) "
    "RETURNS TABLE (email text, is_taken boolean) LANGUAGE sql STABLE": (
        "app_worker",
        """
        SELECT r.email, EXISTS (SELECT FROM public.users AS u WHERE lower(u.email) = lower(r.email))
        FROM public.registrations AS r
        WHERE r.id = registration AND r.expires_at > moment AND AT_HOME
        """,
    ),
    "app.newest_registration(wanted text, moment timestamptz) RETURNS TABLE (id uuid) LANGUAGE sql STABLE": (
        "app_worker",
        """
        SELECT r.id FROM public.registrations AS r
        WHERE lower(r.email) = lower(wanted) AND r.expires_at > moment AND AT_HOME
        ORDER BY r.created_at DESC LIMIT 1
        """,
    ),
    "app.add_registration(given jsonb) RETURNS void LANGUAGE sql VOLATILE": (
        "app_worker",
        """
        INSERT INTO public.registrations (id, email, password, first_name, last_name, organization_name, slug,
          token_sha256, expires_at)
        SELECT id, email, password, first_name, last_name, organization_name, slug, token_sha256, expires_at
        FROM jsonb_to_record(given) AS g(id uuid, email text, password text, first_name text, last_name text,
          organization_name text, slug text, token_sha256 text, expires_at timestamptz)
        WHERE AT_HOME
        """,
    ),
    "app.complete_registration(wanted text, new_user uuid, new_organization uuid, moment timestamptz) "
    "RETURNS TABLE (email text, name text, organization_name text) LANGUAGE plpgsql VOLATILE": (
        "app_api",
        """
        DECLARE
          given public.registrations;
        BEGIN
          -- Those of one address in one order: two that are finished at once must not wait for each other.
          PERFORM FROM public.registrations AS r
          WHERE lower(r.email) = (SELECT lower(o.email) FROM public.registrations AS o WHERE o.token_sha256 = wanted)
          ORDER BY r.id FOR UPDATE;
          DELETE FROM public.registrations AS r WHERE r.token_sha256 = wanted AND r.expires_at > moment
          RETURNING * INTO given;
          IF NOT FOUND THEN
            RETURN;
          END IF;
          PERFORM app.register(
            jsonb_build_object('id', new_user, 'username', given.email, 'email', given.email,
              'password', given.password, 'first_name', given.first_name, 'last_name', given.last_name),
            jsonb_build_object('id', new_organization, 'name', given.organization_name, 'slug', given.slug));
          UPDATE public.users AS u SET email_verified = true, email_verified_at = moment WHERE u.id = new_user;
          -- Whoever else began with this address cannot finish any more.
          DELETE FROM public.registrations AS r WHERE lower(r.email) = lower(given.email);
          RETURN QUERY
          SELECT given.email, concat_ws(' ', given.first_name, given.last_name), given.organization_name;
        END
        """,
    ),
    "app.reset_password(wanted text, hashed text, moment timestamptz) "
    "RETURNS TABLE (user_id uuid, email text, default_organization_id uuid) LANGUAGE plpgsql VOLATILE": (
        "app_api",
        """
        DECLARE
          owner public.users;
        BEGIN
          -- The account before its tokens, here and below: two of them used at once must not wait for each other.
          PERFORM FROM public.users AS u JOIN public.auth_tokens AS t ON t.user_id = u.id
          WHERE t.token_sha256 = wanted FOR UPDATE OF u;
          UPDATE public.auth_tokens AS t SET used_at = moment FROM public.users AS u
          WHERE t.token_sha256 = wanted AND t.purpose = 'reset_password' AND t.used_at IS NULL
            AND t.expires_at > moment AND u.id = t.user_id AND u.is_active
            -- A link sent to an address that is no longer the account's is worth nothing.
            AND lower(u.email) = lower(t.target)
          RETURNING u.* INTO owner;
          IF NOT FOUND THEN
            RETURN;
          END IF;
          UPDATE public.users AS u SET password = hashed, email_verified = true,
            email_verified_at = coalesce(u.email_verified_at, moment) WHERE u.id = owner.id;
          UPDATE public.sessions AS s SET revoked_at = moment
          WHERE s.user_id = owner.id AND s.revoked_at IS NULL;
          -- What was begun with the old password ends with it.
          UPDATE public.auth_tokens AS t SET used_at = moment WHERE t.user_id = owner.id AND t.used_at IS NULL;
          RETURN QUERY SELECT owner.id, owner.email, owner.default_organization_id;
        END
        """,
    ),
    "app.change_password(member uuid, old text, new text, moment timestamptz) RETURNS boolean "
    "LANGUAGE plpgsql VOLATILE": (
        "app_api",
        """
        BEGIN
          UPDATE public.users AS u SET password = new WHERE u.id = member AND u.password = old;
          IF NOT FOUND THEN
            RETURN false;
          END IF;
          -- As after a reset: a new address that was asked for with the old password is not moved to any more.
          UPDATE public.auth_tokens AS t SET used_at = moment WHERE t.user_id = member AND t.used_at IS NULL;
          RETURN true;
        END
        """,
    ),
    "app.change_email(wanted text, moment timestamptz) "
    "RETURNS TABLE (user_id uuid, old_email text, new_email text, default_organization_id uuid) "
    "LANGUAGE plpgsql VOLATILE": (
        "app_api",
        """
        DECLARE
          used public.auth_tokens;
          owner public.users;
        BEGIN
          PERFORM FROM public.users AS u JOIN public.auth_tokens AS t ON t.user_id = u.id
          WHERE t.token_sha256 = wanted FOR UPDATE OF u;
          UPDATE public.auth_tokens AS t SET used_at = moment
          WHERE t.token_sha256 = wanted AND t.purpose = 'change_email' AND t.used_at IS NULL
            AND t.expires_at > moment
          RETURNING * INTO used;
          IF NOT FOUND THEN
            RETURN;
          END IF;
          SELECT * INTO owner FROM public.users AS u WHERE u.id = used.user_id AND u.is_active FOR UPDATE;
          IF NOT FOUND THEN
            RETURN;
          END IF;
          UPDATE public.users AS u SET email = used.target, email_verified = true, email_verified_at = moment,
            username = CASE WHEN lower(u.username) = lower(owner.email) THEN used.target ELSE u.username END
          WHERE u.id = owner.id;
          UPDATE public.auth_tokens AS t SET used_at = moment
          WHERE t.user_id = owner.id AND t.used_at IS NULL AND t.purpose IN ('change_email', 'reset_password');
          RETURN QUERY SELECT owner.id, owner.email, used.target, owner.default_organization_id;
        END
        """,
    ),
    "app.confirm_phone(wanted text, member uuid, dialled text, moment timestamptz) RETURNS TABLE (phone text) "
    "LANGUAGE plpgsql VOLATILE": (
        "app_api",
        """
        DECLARE
          used public.auth_tokens;
        BEGIN
          PERFORM FROM public.users AS u JOIN public.auth_tokens AS t ON t.user_id = u.id
          WHERE t.token_sha256 = wanted FOR UPDATE OF u;
          UPDATE public.auth_tokens AS t SET used_at = moment
          WHERE t.token_sha256 = wanted AND t.purpose = 'verify_phone' AND t.used_at IS NULL
            AND t.expires_at > moment AND t.user_id = member
          RETURNING * INTO used;
          IF NOT FOUND THEN
            RETURN;
          END IF;
          UPDATE public.users AS u SET phone = used.target, country_code = dialled, phone_verified = true,
            phone_verified_at = moment
          WHERE u.id = member;
          RETURN QUERY SELECT used.target;
        END
        """,
    ),
    # Counts one attempt under every key, or none where one has to wait; answers how many seconds, or 0. Whoever
    # has succeeded from there before (`known`) is held up only by what they do themselves.
    "app.attempt(wanted jsonb, known text, moment timestamptz) RETURNS integer LANGUAGE plpgsql VOLATILE": (
        "app_api",
        """
        DECLARE
          each record;
          found public.login_attempts;
          is_known boolean;
          until timestamptz;
          level double precision;
          wait double precision;
        BEGIN
          -- A crash of the server forgives the last moments; a login must not wait for the disk.
          PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
          is_known := EXISTS (SELECT FROM public.login_attempts AS a WHERE a.key = known AND a.expires_at > moment);
          SELECT max(a.blocked_until) INTO until
          FROM jsonb_to_recordset(wanted) AS g(key text, for_known boolean)
          JOIN public.login_attempts AS a ON a.key = g.key
          WHERE a.blocked_until > moment AND (g.for_known OR NOT is_known);
          IF until IS NULL THEN
            -- In one order, so that two attempts never wait for each other.
            FOR each IN
              SELECT g.* FROM jsonb_to_recordset(wanted) AS g(key text, for_known boolean, free double precision,
                first double precision, longest double precision, forget double precision)
              WHERE g.for_known OR NOT is_known ORDER BY g.key
            LOOP
              INSERT INTO public.login_attempts (key, failures, last_at, expires_at)
              VALUES (each.key, 0, moment, moment + interval '1 hour') ON CONFLICT (key) DO NOTHING;
              SELECT * INTO found FROM public.login_attempts AS a WHERE a.key = each.key FOR UPDATE;
              IF found.blocked_until > moment THEN  -- an attempt beside this one was the last free one
                until := greatest(until, found.blocked_until);
                CONTINUE;
              END IF;
              level := 1 + greatest(0, coalesce(found.failures, 0)
                - greatest(0, extract(epoch FROM moment - coalesce(found.last_at, moment))) / each.forget);
              wait := CASE WHEN round(level) < each.free THEN 0
                ELSE least(each.longest, each.first * 2 ^ least(20, round(level - each.free))) END;
              UPDATE public.login_attempts AS a SET failures = level, last_at = moment,
                blocked_until = CASE WHEN wait > 0 THEN moment + make_interval(secs => wait) END,
                expires_at = moment + make_interval(secs => wait + level * each.forget)
              WHERE a.key = each.key;
            END LOOP;
          END IF;
          RETURN coalesce(greatest(0, ceil(extract(epoch FROM until - moment))), 0);
        END
        """,
    ),
    # After a success: the keys that are the person's own are emptied, the shared ones get this attempt back.
    "app.forgive(wanted jsonb, known text, remembered timestamptz) RETURNS void LANGUAGE plpgsql VOLATILE": (
        "app_api",
        """
        DECLARE
          each record;
        BEGIN
          PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
          FOR each IN
            SELECT g.* FROM jsonb_to_recordset(wanted) AS g(key text, is_own boolean, free double precision)
            ORDER BY g.key
          LOOP
            IF each.is_own THEN
              DELETE FROM public.login_attempts AS a WHERE a.key = each.key;
            ELSE
              UPDATE public.login_attempts AS a SET failures = greatest(0, a.failures - 1),
                blocked_until = CASE WHEN round(a.failures - 1) >= each.free THEN a.blocked_until END
              WHERE a.key = each.key;
            END IF;
          END LOOP;
          IF known IS NOT NULL THEN
            INSERT INTO public.login_attempts (key, failures, last_at, expires_at)
            VALUES (known, 0, remembered, remembered)
            ON CONFLICT (key) DO UPDATE SET last_at = excluded.last_at, expires_at = excluded.expires_at;
          END IF;
        END
        """,
    ),
}
#: Entered and asked in one statement, by whoever connected: they can only become the API's role if that was granted.
ASKED = {
    "app.ask_attempt(wanted jsonb, known text, moment timestamptz) RETURNS TABLE (waiting integer)": (
        "RETURN QUERY SELECT app.attempt(wanted, known, moment)"
    ),
    "app.ask_forgiveness(wanted jsonb, known text, remembered timestamptz) RETURNS void": (
        "PERFORM app.forgive(wanted, known, remembered)"
    ),
}


@as_owner()
def upgrade() -> None:
    for table, statement in TABLES.items():
        op.execute(statement)
        run(isolated(table, by=("system",)))
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO app_system")
    run(INDEXES)
    op.execute(f"GRANT {VERDICTS} ON users TO app_system")
    with as_system():
        op.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
        for signature, (callers, body) in DEFINERS.items():
            run(definer(signature, body.replace("AT_HOME", AT_HOME), callers))
    for signature, question in ASKED.items():
        run(asked(signature, question))


@as_owner()
def downgrade() -> None:
    run(dropped((*ASKED, *DEFINERS)))
    op.execute(f"REVOKE {VERDICTS} ON users FROM app_system")
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")

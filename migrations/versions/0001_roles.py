"""roles and context: who owns, who may act, and how a transaction says who is asking"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

#: Roles belong to the whole cluster, so another database may have made them, or be making them this moment.
CREATE_ROLES = """
DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['app_owner', 'app_api', 'app_worker', 'app_system'] LOOP
    FOR attempt IN 1..20 LOOP
      EXIT WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = wanted);
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', wanted);
      EXCEPTION
        WHEN duplicate_object OR unique_violation THEN NULL;
        WHEN insufficient_privilege THEN
          RAISE EXCEPTION 'role % does not exist and % may not create it', wanted, current_user
            USING HINT = 'Give the migrating login CREATEROLE.';
      END;
    END LOOP;
  END LOOP;
END $$
"""

#: The migrating login creates things as app_owner and hands definer functions to app_system. From PostgreSQL 16 on
#: creating a role brings the right to grant it, but not to become it.
BECOME = """
DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['app_owner', 'app_system'] LOOP
    FOR attempt IN 1..20 LOOP
      EXIT WHEN (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) OR EXISTS (
        SELECT FROM pg_auth_members AS granted
        WHERE granted.roleid = wanted::regrole AND granted.member = current_user::regrole
          AND coalesce((to_jsonb(granted) ->> 'set_option')::boolean, true)
          AND coalesce((to_jsonb(granted) ->> 'inherit_option')::boolean, true));
      BEGIN
        IF current_setting('server_version_num')::int >= 160000 THEN
          EXECUTE format('GRANT %I TO %I WITH INHERIT TRUE, SET TRUE', wanted, current_user);
        ELSE
          EXECUTE format('GRANT %I TO %I', wanted, current_user);
        END IF;
      EXCEPTION
        WHEN unique_violation OR internal_error THEN PERFORM pg_sleep(0.05);
        WHEN insufficient_privilege THEN
          RAISE EXCEPTION '% may not become %', current_user, wanted
            USING HINT = format('The role belongs to another login of this cluster. Let its owner run: '
              'GRANT app_owner, app_api, app_worker, app_system TO %I WITH ADMIN OPTION', current_user);
      END;
    END LOOP;
  END LOOP;
END $$
"""

#: The application's login becomes one of three roles per transaction and inherits nothing from them before.
#: The login is made by whoever runs the cluster; without it (an import, a test) there is nobody to grant to.
LOGIN = """
DO $$
DECLARE
  login text := '{login}';
  wanted text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
    RAISE NOTICE 'login % does not exist: grant it app_api, app_worker, app_system when it does', login;
    RETURN;
  END IF;
  FOREACH wanted IN ARRAY ARRAY['app_api', 'app_worker', 'app_system'] LOOP
    FOR attempt IN 1..20 LOOP
      EXIT WHEN EXISTS (
        SELECT FROM pg_auth_members WHERE roleid = wanted::regrole AND member = login::regrole);
      BEGIN
        IF current_setting('server_version_num')::int >= 160000 THEN
          EXECUTE format('GRANT %I TO %I WITH INHERIT FALSE, SET TRUE', wanted, login);
        ELSIF (SELECT rolinherit FROM pg_roles WHERE rolname = login) THEN
          RAISE EXCEPTION 'login % inherits the rights of its roles', login
            USING HINT = format('ALTER ROLE %I NOINHERIT', login);
        ELSE
          EXECUTE format('GRANT %I TO %I', wanted, login);
        END IF;
      EXCEPTION WHEN unique_violation OR internal_error THEN PERFORM pg_sleep(0.05);
      END;
    END LOOP;
  END LOOP;
END $$
"""

CONTEXT = (
    """
    CREATE FUNCTION app.org() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('app.org_id', true), '')::uuid $$
    """,
    """
    CREATE FUNCTION app.me() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('app.user_id', true), '')::uuid $$
    """,
    """
    CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$
    """,
)


def upgrade() -> None:
    login = op.get_context().config.attributes.get("login", "perdure_app")
    op.execute(CREATE_ROLES)
    op.execute(BECOME)
    op.execute(LOGIN.format(login=login.replace("'", "''")))
    op.execute("GRANT USAGE, CREATE ON SCHEMA public TO app_owner")
    op.execute("GRANT USAGE ON SCHEMA public TO app_api, app_worker, app_system")
    op.execute("CREATE SCHEMA app AUTHORIZATION app_owner")
    op.execute("SET LOCAL ROLE app_owner")
    # Everybody may look up a name in the schema; each function says who may call it.
    op.execute("GRANT USAGE ON SCHEMA app TO PUBLIC")
    op.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    for statement in CONTEXT:
        op.execute(statement)
    op.execute("GRANT EXECUTE ON FUNCTION app.org(), app.me() TO app_api, app_worker, app_system")
    op.execute("RESET ROLE")


#: Roles stay as long as another database of the cluster uses them; PostgreSQL refuses to drop those.
DROP_ROLES = """
DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['app_system', 'app_worker', 'app_api', 'app_owner'] LOOP
    BEGIN
      EXECUTE format('DROP ROLE IF EXISTS %I', wanted);
    EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN
      RAISE NOTICE 'role % is still in use elsewhere and stays', wanted;
    END;
  END LOOP;
END $$
"""


def downgrade() -> None:
    op.execute("SET LOCAL ROLE app_owner")
    op.execute("DROP SCHEMA app CASCADE")
    for role in ("app_owner", "app_system"):
        op.execute(f"SET LOCAL ROLE {role}")
        op.execute("ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC")
    op.execute("RESET ROLE")
    op.execute("REVOKE ALL ON SCHEMA public FROM app_owner, app_api, app_worker, app_system")
    op.execute(DROP_ROLES)

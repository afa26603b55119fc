"""statistics: organization_stats, usage counters, exports and retention of the activity log"""

from alembic import op

from migrations.ddl import as_system, isolated, policy, run

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

PLATFORM = "00000000-0000-7000-8000-0000000000aa"
TABLES = ("usage_counters", "audit_exports", "audit_export_parts")

#: One statement each.
STATEMENTS: tuple[str, ...] = (
    """
    CREATE TABLE usage_counters (
      organization_id uuid NOT NULL,
      since timestamptz NOT NULL,
      metric text NOT NULL,
      amount bigint NOT NULL,
      CONSTRAINT pk_usage_counters PRIMARY KEY (organization_id, since, metric),
      CONSTRAINT ck_usage_counters_metric
        CHECK (metric IN ('executions_started', 'steps_run', 'api_calls', 'members', 'storage_bytes')),
      CONSTRAINT ck_usage_counters_amount CHECK (amount >= 0),
      CONSTRAINT fk_usage_counters_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE audit_exports (
      id uuid DEFAULT gen_random_uuid() NOT NULL,
      organization_id uuid NOT NULL,
      format text NOT NULL,
      filters jsonb DEFAULT '{}' NOT NULL,
      until timestamptz NOT NULL,
      total bigint DEFAULT '0' NOT NULL,
      written bigint DEFAULT '0' NOT NULL,
      parts integer DEFAULT '0' NOT NULL,
      last_at timestamptz,
      last_id uuid,
      execution_id uuid,
      created_by uuid NOT NULL,
      created_at timestamptz DEFAULT now() NOT NULL,
      completed_at timestamptz,
      CONSTRAINT pk_audit_exports PRIMARY KEY (id),
      CONSTRAINT uq_audit_exports_id UNIQUE (organization_id, id),
      CONSTRAINT ck_audit_exports_format CHECK (format IN ('csv', 'jsonl')),
      CONSTRAINT fk_audit_exports_execution_id FOREIGN KEY (organization_id, execution_id)
        REFERENCES workflow_executions (organization_id, id) ON DELETE SET NULL (execution_id),
      CONSTRAINT fk_audit_exports_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE,
      CONSTRAINT fk_audit_exports_created_by FOREIGN KEY (created_by) REFERENCES users (id)
    )
    """,
    "CREATE INDEX ix_audit_exports_created_at_id ON audit_exports (organization_id, created_at, id)",
    "CREATE INDEX ix_audit_exports_execution_id ON audit_exports (organization_id, execution_id)",
    """
    CREATE TABLE audit_export_parts (
      organization_id uuid NOT NULL,
      export_id uuid NOT NULL,
      number integer NOT NULL,
      content text NOT NULL,
      CONSTRAINT pk_audit_export_parts PRIMARY KEY (organization_id, export_id, number),
      CONSTRAINT fk_audit_export_parts_export_id FOREIGN KEY (organization_id, export_id)
        REFERENCES audit_exports (organization_id, id) ON DELETE CASCADE,
      CONSTRAINT fk_audit_export_parts_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
    )
    """,
    *isolated(*TABLES, by=("tenant",)),
    *(policy("system", table) for table in ("usage_counters", "audit_exports", "execution_steps")),
    "GRANT SELECT ON usage_counters TO app_api",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON usage_counters TO app_system",
    "GRANT SELECT, INSERT ON audit_exports TO app_api",
    "GRANT SELECT, UPDATE (total, written, parts, last_at, last_id, completed_at) ON audit_exports TO app_worker",
    "GRANT SELECT (id, organization_id, created_at), DELETE ON audit_exports TO app_system",
    "GRANT SELECT ON audit_export_parts TO app_api",
    "GRANT SELECT, INSERT ON audit_export_parts TO app_worker",
    "GRANT SELECT (organization_id, execution_id, started_at) ON execution_steps TO app_system",
    "GRANT SELECT (file_size, is_current_version) ON documents TO app_system",
    # Rows come in the order of time: an index of ranges finds the last hours and costs nothing to keep.
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_workflow_executions_created_at ON workflow_executions USING brin (created_at)
    """,
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_execution_steps_started_at ON execution_steps USING brin (started_at)
    """,
)

#: Each table is counted for itself and then joined: joined first, rows multiply (1 500 bytes became 6 000).
VIEW = f"""
CREATE MATERIALIZED VIEW stats.organization_stats AS
SELECT o.id AS organization_id, o.name,
  coalesce(m.user_count, 0) AS user_count,
  coalesce(c.client_count, 0) AS client_count,
  coalesce(d.document_count, 0) AS document_count,
  coalesce(d.total_storage_bytes, 0)::bigint AS total_storage_bytes
FROM public.organizations AS o
LEFT JOIN (
  SELECT b.organization_id, count(*) AS user_count FROM public.user_organizations AS b
  JOIN public.users AS u ON u.id = b.user_id AND u.is_active WHERE b.status = 'active' GROUP BY 1
) AS m ON m.organization_id = o.id
LEFT JOIN (
  SELECT organization_id, count(id) AS client_count FROM public.clients GROUP BY 1
) AS c ON c.organization_id = o.id
LEFT JOIN (
  SELECT organization_id, count(id) AS document_count, sum(file_size) AS total_storage_bytes
  FROM public.documents WHERE is_current_version GROUP BY 1
) AS d ON d.organization_id = o.id
WHERE o.id <> '{PLATFORM}'
"""  # noqa: S608 - a constant only

#: Of the system's own schema; only app_system looks into it.
SYSTEM = (
    "CREATE TABLE stats.marks (name text CONSTRAINT pk_marks PRIMARY KEY, marked_at timestamptz NOT NULL)",
    VIEW,
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE UNIQUE INDEX uq_organization_stats_organization_id ON stats.organization_stats (organization_id)
    """,
    "INSERT INTO stats.marks VALUES ('organization_stats', now())",
    """
    CREATE FUNCTION app.organization_stats() RETURNS TABLE (user_count bigint, client_count bigint,
      document_count bigint, total_storage_bytes bigint, refreshed_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
      SELECT s.user_count, s.client_count, s.document_count, s.total_storage_bytes, m.marked_at
      FROM stats.organization_stats AS s JOIN stats.marks AS m ON m.name = 'organization_stats'
      WHERE s.organization_id = app.org()
    $$
    """,
    """
    CREATE FUNCTION app.counted_at(mark text) RETURNS timestamptz
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
      SELECT marked_at FROM stats.marks WHERE name = mark
    $$
    """,
    # What a process of the API has added up; an organization may have gone meanwhile.
    """
    CREATE FUNCTION app.add_api_calls(calls jsonb) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
      INSERT INTO public.usage_counters (organization_id, since, metric, amount)
      SELECT o.id, date_trunc('hour', given.since, 'UTC'), 'api_calls', sum(given.amount)
      FROM jsonb_to_recordset(calls) AS given (organization_id uuid, since timestamptz, amount bigint)
      JOIN public.organizations AS o ON o.id = given.organization_id
      WHERE given.amount > 0
      GROUP BY 1, 2 ORDER BY 1, 2
      ON CONFLICT (organization_id, since, metric)
      DO UPDATE SET amount = public.usage_counters.amount + EXCLUDED.amount
    $$
    """,
    # From when on each organization keeps its log; '-infinity': for ever. Never less than 90 days.
    """
    CREATE FUNCTION app.audit_kept_from() RETURNS TABLE (organization_id uuid, kept_from timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
      SELECT o.id, CASE WHEN o.settings #>> '{retention,audit_days}' ~ '^[0-9]{1,5}$' THEN
        now() - make_interval(days => greatest(90, (o.settings #>> '{retention,audit_days}')::integer))
        ELSE '-infinity' END
      FROM public.organizations AS o
    $$
    """,
)

#: Refreshing a view while it is read compares by a temporary table.
ON_DATABASE = """
DO $$ BEGIN
  EXECUTE format('{words} ON DATABASE %I {role}', current_database());
END $$
"""

#: Owned by app_owner, the only one who may remove from the log. FORCE hides the rows even from it: a month's
#: partition is opened while it works there, and only months that ended long ago are.
RETIRE = """
CREATE FUNCTION app.retire_activities(batch integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  part record;
  is_due boolean;
  is_empty boolean;
  removed integer;
  gone integer := 0;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('perdure audit retention')) THEN
    RETURN 0;
  END IF;
  -- Whoever writes or reads at this moment is not held up for long; the next sweep tries again.
  PERFORM set_config('lock_timeout', '2s', true);
  FOR part IN
    SELECT found.name, found.first, found.first + interval '1 month' AS next
    FROM (SELECT c.relname AS name,
        make_timestamptz(substr(c.relname, 16, 4)::integer, substr(c.relname, 21, 2)::integer, 1, 0, 0, 0, 'UTC')
          AT TIME ZONE 'UTC' AS first
      FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'public.activity_logs'::regclass AND c.relname ~ '^activity_logs_y[0-9]{4}m[0-9]{2}$'
    ) AS found
    WHERE found.first AT TIME ZONE 'UTC' < now() - interval '90 days'
    ORDER BY found.first
  LOOP
    EXIT WHEN gone >= batch;
    IF NOT EXISTS (SELECT FROM app.audit_kept_from() AS k WHERE k.kept_from < part.next AT TIME ZONE 'UTC') THEN
      EXECUTE format('DROP TABLE public.%I', part.name);
      gone := gone + 1;
      CONTINUE;
    END IF;
    SELECT EXISTS (SELECT FROM app.audit_kept_from() AS k WHERE k.kept_from > part.first AT TIME ZONE 'UTC')
    INTO is_due;
    CONTINUE WHEN NOT is_due;
    EXECUTE format('ALTER TABLE public.%I NO FORCE ROW LEVEL SECURITY', part.name);
    EXECUTE format('WITH kept AS MATERIALIZED (SELECT * FROM app.audit_kept_from()) '
      'DELETE FROM public.%1$I WHERE ctid IN (SELECT p.ctid FROM public.%1$I AS p '
      'JOIN kept AS k ON k.organization_id = p.organization_id AND p.created_at < k.kept_from LIMIT %2$s)',
      part.name, batch - gone);
    GET DIAGNOSTICS removed = ROW_COUNT;
    gone := gone + removed;
    EXECUTE format('SELECT NOT EXISTS (SELECT FROM public.%I)', part.name) INTO is_empty;
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', part.name);
    IF is_empty THEN
      EXECUTE format('DROP TABLE public.%I', part.name);
    END IF;
  END LOOP;
  RETURN gone;
END $$
"""

#: How many lines lie in no month's partition: there should be none, and somebody is told when there are.
STRAY = """
CREATE FUNCTION app.stray_activities() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  found bigint;
BEGIN
  IF pg_relation_size('public.activity_logs_default') = 0 THEN
    RETURN 0;
  END IF;
  PERFORM set_config('lock_timeout', '2s', true);
  ALTER TABLE public.activity_logs_default NO FORCE ROW LEVEL SECURITY;
  SELECT count(*) INTO found FROM public.activity_logs_default;
  ALTER TABLE public.activity_logs_default FORCE ROW LEVEL SECURITY;
  RETURN found;
END $$
"""
FUNCTIONS = {
    "app.organization_stats()": "app_api",
    "app.counted_at(text)": "app_api",
    "app.add_api_calls(jsonb)": "app_api",
    "app.audit_kept_from()": "app_owner",
}


def upgrade() -> None:
    op.execute("CREATE SCHEMA stats AUTHORIZATION app_system")
    op.execute(ON_DATABASE.format(words="GRANT TEMPORARY", role="TO app_system"))
    op.execute("SET LOCAL ROLE app_owner")
    run(STATEMENTS)
    with as_system():
        run(SYSTEM)
        for function, caller in FUNCTIONS.items():
            op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
            op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {caller}")
    for function, definition in (("retire_activities", RETIRE), ("stray_activities", STRAY)):
        op.execute(definition.replace(":", "\\:"))
        op.execute(f"REVOKE ALL ON FUNCTION app.{function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION app.{function} TO app_system")
    op.execute("RESET ROLE")


def downgrade() -> None:
    op.execute("SET LOCAL ROLE app_owner")
    op.execute("DROP FUNCTION app.retire_activities")
    op.execute("DROP FUNCTION app.stray_activities")
    op.execute("SET LOCAL ROLE app_system")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP SCHEMA stats CASCADE")
    op.execute("RESET ROLE")
    op.execute(ON_DATABASE.format(words="REVOKE TEMPORARY", role="FROM app_system"))
    op.execute("SET LOCAL ROLE app_owner")
    op.execute("DROP INDEX ix_execution_steps_started_at")
    op.execute("DROP INDEX ix_workflow_executions_created_at")
    op.execute("DROP POLICY system ON execution_steps")
    op.execute("REVOKE SELECT (file_size, is_current_version) ON documents FROM app_system")
    op.execute("REVOKE SELECT (organization_id, execution_id, started_at) ON execution_steps FROM app_system")
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
    op.execute("RESET ROLE")

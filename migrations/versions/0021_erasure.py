"""erasure: what forgetting a person or an organization needs, and what is handed out before"""

from alembic import op

from migrations.ddl import as_owner, as_system, isolated, run, touched

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

#: One statement each.
STATEMENTS: tuple[str, ...] = (
    """
    CREATE TABLE erasures (
      id uuid DEFAULT gen_random_uuid() NOT NULL,
      organization_id uuid NOT NULL,
      subject text NOT NULL,
      subject_id uuid NOT NULL,
      requested_by uuid NOT NULL,
      status text DEFAULT 'scheduled' NOT NULL,
      scheduled_for timestamptz NOT NULL,
      execution_id uuid,
      part_of uuid,
      phase text,
      erased jsonb DEFAULT '{}' NOT NULL,
      begun_at timestamptz,
      ended_at timestamptz,
      created_at timestamptz DEFAULT now() NOT NULL,
      updated_at timestamptz DEFAULT now() NOT NULL,
      CONSTRAINT pk_erasures PRIMARY KEY (id),
      CONSTRAINT uq_erasures_id UNIQUE (organization_id, id),
      CONSTRAINT ck_erasures_subject CHECK (subject IN ('organization', 'user')),
      CONSTRAINT ck_erasures_status CHECK (status IN ('scheduled', 'cancelled', 'erasing', 'erased')),
      CONSTRAINT ck_erasures_not_the_platform CHECK (subject_id <> organization_id),
      CONSTRAINT fk_erasures_requested_by FOREIGN KEY (requested_by) REFERENCES users (id),
      CONSTRAINT fk_erasures_execution_id FOREIGN KEY (organization_id, execution_id)
        REFERENCES workflow_executions (organization_id, id) ON DELETE SET NULL (execution_id),
      CONSTRAINT fk_erasures_part_of FOREIGN KEY (organization_id, part_of)
        REFERENCES erasures (organization_id, id),
      CONSTRAINT fk_erasures_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_erasures_execution_id ON erasures (organization_id, execution_id)",
    "CREATE INDEX ix_erasures_part_of ON erasures (organization_id, part_of)",
    "CREATE INDEX ix_erasures_subject_id ON erasures (organization_id, subject_id)",
    """
    CREATE UNIQUE INDEX uq_erasures_open ON erasures (organization_id, subject_id)
    WHERE status IN ('scheduled', 'erasing')
    """,
    *isolated("erasures", by=("tenant",)),
    "GRANT SELECT, INSERT, UPDATE (status, execution_id, phase, erased, begun_at, ended_at, updated_at) "
    "ON erasures TO app_worker",
    touched("erasures"),
    """
    CREATE TABLE exports (
      id uuid DEFAULT gen_random_uuid() NOT NULL,
      organization_id uuid NOT NULL,
      requested_by uuid NOT NULL,
      execution_id uuid,
      status text DEFAULT 'running' NOT NULL,
      progress integer DEFAULT '0' NOT NULL,
      contents jsonb DEFAULT '{}' NOT NULL,
      pieces integer DEFAULT '0' NOT NULL,
      size bigint DEFAULT '0' NOT NULL,
      taken_at timestamptz,
      expires_at timestamptz,
      created_at timestamptz DEFAULT now() NOT NULL,
      updated_at timestamptz DEFAULT now() NOT NULL,
      CONSTRAINT pk_exports PRIMARY KEY (id),
      CONSTRAINT uq_exports_id UNIQUE (organization_id, id),
      CONSTRAINT ck_exports_status CHECK (status IN ('running', 'ready', 'failed', 'expired')),
      CONSTRAINT fk_exports_requested_by FOREIGN KEY (requested_by) REFERENCES users (id),
      CONSTRAINT fk_exports_execution_id FOREIGN KEY (organization_id, execution_id)
        REFERENCES workflow_executions (organization_id, id) ON DELETE SET NULL (execution_id),
      CONSTRAINT fk_exports_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_exports_execution_id ON exports (organization_id, execution_id)",
    "CREATE INDEX ix_exports_created_at_id ON exports (organization_id, created_at, id)",
    "CREATE INDEX ix_exports_expires_at ON exports (expires_at) WHERE status IN ('ready', 'failed')",
    "CREATE UNIQUE INDEX uq_exports_running ON exports (organization_id) WHERE status = 'running'",
    *isolated("exports", by=("tenant", "system")),
    "GRANT SELECT, INSERT, UPDATE (status, execution_id, updated_at) ON exports TO app_api",
    "GRANT SELECT, UPDATE (status, progress, contents, pieces, size, taken_at, expires_at, updated_at) "
    "ON exports TO app_worker",
    "GRANT SELECT (id, organization_id, execution_id, status, expires_at, created_at), UPDATE (status) "
    "ON exports TO app_system",
    touched("exports"),
    # Retention: executions that ended long ago take their steps, effects and words to the engine along.
    "GRANT DELETE ON workflow_executions TO app_system",
    "GRANT SELECT (execution_id) ON deliveries TO app_system",
    # Whose rows the functions below may remove. Only they, being app_owner, meet a policy that reads it.
    """
    CREATE FUNCTION app.erased() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('app.erased', true), '')::uuid $$
    """,
    # FORCE hides every row from the owner of the tables, too: these policies show it the rows of one subject.
    """
    DO $$
    DECLARE
      belonging record;
    BEGIN
      FOR belonging IN
        SELECT k.conrelid::regclass AS name, string_agg(a.attname, ', ' ORDER BY a.attname) AS owned_by
        FROM pg_constraint AS k
        JOIN pg_class AS c ON c.oid = k.conrelid AND NOT c.relispartition
        JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
        WHERE k.contype = 'f' AND k.confdeltype = 'c' AND cardinality(k.conkey) = 1
          AND k.confrelid IN ('public.organizations'::regclass, 'public.users'::regclass)
          AND k.conrelid <> 'public.erasures'::regclass
        GROUP BY k.conrelid
      LOOP
        EXECUTE format('CREATE POLICY erasure ON %s TO app_owner USING ((SELECT app.erased()) IN (%s))',
          belonging.name, belonging.owned_by);
      END LOOP;
    END $$
    """,
    # The log keeps who did something, but not from where.
    "ALTER POLICY erasure ON activity_logs USING ((SELECT app.erased()) IN (organization_id, user_id))",
    "CREATE POLICY erasure ON organizations TO app_owner USING (id = (SELECT app.erased()))",
    "CREATE POLICY erasure ON users TO app_owner USING (id = (SELECT app.erased()))",
    "CREATE POLICY erasure ON erasures TO app_owner "
    "USING ((SELECT app.erased()) IN (organization_id, subject_id))",
    # Told by name which rows belong to a subject, they look it up: a column whose reference does not cascade
    # says who did something, and stays.
    """
    CREATE FUNCTION app.belongs(target text, belonging text) RETURNS boolean LANGUAGE sql STABLE
    SET search_path = '' AS $$
      SELECT (target, belonging) IN (('organizations', 'id'), ('users', 'id')) OR EXISTS (
        SELECT FROM pg_catalog.pg_constraint AS k
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
        WHERE k.conrelid = to_regclass(format('public.%I', target)) AND a.attname = belonging
          AND k.contype = 'f' AND k.confdeltype = 'c' AND cardinality(k.conkey) = 1
          AND k.confrelid IN ('public.organizations'::regclass, 'public.users'::regclass))
    $$
    """,
    """
    CREATE FUNCTION app.begin_removal(erasing uuid) RETURNS void LANGUAGE plpgsql VOLATILE
    SET search_path = '' AS $$
    BEGIN
      PERFORM set_config('app.erased', erasing::text, true);
      IF NOT EXISTS (SELECT FROM public.erasures WHERE subject_id = erasing AND status = 'erasing') THEN
        RAISE insufficient_privilege USING MESSAGE = 'no erasure of this subject is under way';
      END IF;
    END $$
    """,
    """
    CREATE FUNCTION app.erase_rows(erasing uuid, target text, belonging text, batch integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
    DECLARE
      key text;
      gone integer;
    BEGIN
      IF NOT app.belongs(target, belonging) OR (target, belonging) = ('users', 'id') THEN
        RAISE insufficient_privilege USING MESSAGE = format('rows of %s do not go by %s', target, belonging);
      END IF;
      PERFORM app.begin_removal(erasing);
      SELECT string_agg(format('%I', a.attname), ', ') INTO key
      FROM pg_catalog.pg_index AS i
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
      WHERE i.indrelid = format('public.%I', target)::regclass AND i.indisprimary;
      EXECUTE format('DELETE FROM public.%1$I WHERE %2$I = $1 AND (%3$s) IN '
        '(SELECT %3$s FROM public.%1$I WHERE %2$I = $1 LIMIT $2)', target, belonging, key)
      USING erasing, batch;
      GET DIAGNOSTICS gone = ROW_COUNT;
      -- In the same transaction, so that the tombstone counts each row once, whoever is killed in between.
      UPDATE public.erasures SET erased = erased
        || jsonb_build_object(target, coalesce((erased ->> target)::bigint, 0) + gone)
      WHERE subject_id = erasing AND status = 'erasing' AND gone > 0;
      PERFORM set_config('app.erased', '', true);
      RETURN gone;
    END $$
    """,
    """
    CREATE FUNCTION app.loosen_rows(erasing uuid, target text, reference text, batch integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
    DECLARE
      loose integer;
    BEGIN
      IF NOT app.belongs(target, 'organization_id') THEN
        RAISE insufficient_privilege USING MESSAGE = format('%s belongs to no organization', target);
      END IF;
      PERFORM app.begin_removal(erasing);
      EXECUTE format('UPDATE public.%1$I SET %2$I = NULL WHERE organization_id = $1 AND id IN '
        '(SELECT id FROM public.%1$I WHERE organization_id = $1 AND %2$I IS NOT NULL LIMIT $2)',
        target, reference)
      USING erasing, batch;
      GET DIAGNOSTICS loose = ROW_COUNT;
      PERFORM set_config('app.erased', '', true);
      RETURN loose;
    END $$
    """,
    # Counts only, so that somebody who erases nothing may ask too: whether all of a subject's rows are reached.
    """
    CREATE FUNCTION app.remaining_rows(erasing uuid, target text, belonging text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
    DECLARE
      remaining bigint;
    BEGIN
      IF NOT app.belongs(target, belonging) THEN
        RAISE insufficient_privilege USING MESSAGE = format('rows of %s do not go by %s', target, belonging);
      END IF;
      PERFORM set_config('app.erased', erasing::text, true);
      EXECUTE format('SELECT count(*) FROM public.%I WHERE %I = $1', target, belonging)
      INTO remaining USING erasing;
      PERFORM set_config('app.erased', '', true);
      RETURN remaining;
    END $$
    """,
    """
    CREATE FUNCTION app.stop_organization(erasing uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
    BEGIN
      PERFORM app.begin_removal(erasing);
      -- Deleted long ago, so that nobody restores it and the last owner may go.
      UPDATE public.organizations SET is_active = false, deleted_at = 'epoch'
      WHERE id = erasing AND (is_active OR deleted_at IS DISTINCT FROM 'epoch');
      PERFORM set_config('app.erased', '', true);
    END $$
    """,
    # Every column goes back to what a new row has, those of later releases too; three must differ or be unusable.
    """
    CREATE FUNCTION app.anonymise_user(erasing uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
    DECLARE
      emptied text;
    BEGIN
      PERFORM app.begin_removal(erasing);
      SELECT string_agg(format('%I = DEFAULT', attname), ', ') INTO emptied
      FROM pg_catalog.pg_attribute
      WHERE attrelid = 'public.users'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
        AND attname NOT IN ('id', 'username', 'email', 'password', 'role_id', 'is_active', 'created_at');
      EXECUTE format('UPDATE public.users SET %s, is_active = false, password = ''!'', '
        'username = ''erased-'' || id, email = ''erased-'' || id || ''@erased.invalid'' WHERE id = $1', emptied)
      USING erasing;
      UPDATE public.activity_logs SET ip_address = NULL, user_agent = NULL
      WHERE user_id = erasing AND (ip_address IS NOT NULL OR user_agent IS NOT NULL);
      PERFORM set_config('app.erased', '', true);
    END $$
    """,
    *(
        f"GRANT EXECUTE ON FUNCTION app.{name} TO app_system"
        for name in (
            "erase_rows",
            "loosen_rows",
            "remaining_rows",
            "stop_organization",
            "anonymise_user",
        )
    ),
)

FUNCTIONS = (
    "leave_for_good",
    "anonymise_user",
    "stop_organization",
    "remaining_rows",
    "loosen_rows",
    "erase_rows",
    "begin_removal",
    "belongs",
    "erased",
)


#: Runs as app_system for app_api, before an erasure exists: answers the organizations nobody but this person owns.
#: Where none of them has others in it, the person is gone from this moment; the organizations are erased with them.
LEAVE = """
CREATE FUNCTION app.leave_for_good(member uuid, moment timestamptz)
RETURNS TABLE (organization_id uuid, name text, others bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  alone uuid[];
  left_behind bigint;
BEGIN
  -- Two owners who leave at once take turns; the second finds itself the last.
  PERFORM FROM public.organizations AS o WHERE o.id IN (
    SELECT m.organization_id FROM public.user_organizations AS m
    WHERE m.user_id = member AND m.role_id = '00000000-0000-7000-8000-000000000001' AND m.status = 'active')
  ORDER BY o.id FOR NO KEY UPDATE;
  SELECT array_agg(m.organization_id), sum((
    SELECT count(*) FROM public.user_organizations AS x
    JOIN public.users AS u ON u.id = x.user_id AND u.is_active
    -- Those of a deleted organization have lost it already; only this person could bring it back.
    JOIN public.organizations AS o ON o.id = x.organization_id AND o.deleted_at IS NULL
    WHERE x.organization_id = m.organization_id AND x.user_id <> member AND x.status IN ('active', 'suspended')))
  INTO alone, left_behind
  FROM public.user_organizations AS m
  WHERE m.user_id = member AND m.role_id = '00000000-0000-7000-8000-000000000001' AND m.status = 'active'
    AND NOT EXISTS (
      SELECT FROM public.user_organizations AS x JOIN public.users AS u ON u.id = x.user_id AND u.is_active
      WHERE x.organization_id = m.organization_id AND x.user_id <> member AND x.role_id = m.role_id
        AND x.status = 'active');
  IF coalesce(left_behind, 0) = 0 THEN
    UPDATE public.users SET is_active = false WHERE id = member AND is_active;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'no active user' USING ERRCODE = 'PD403';
    END IF;
    UPDATE public.sessions AS s SET revoked_at = moment WHERE s.user_id = member AND s.revoked_at IS NULL;
    UPDATE public.user_organizations AS m SET status = 'suspended'
    WHERE m.user_id = member AND m.organization_id <> ALL (coalesce(alone, '{}')) AND m.status <> 'suspended';
  END IF;
  RETURN QUERY SELECT o.id, o.name, (
    SELECT count(*) FROM public.user_organizations AS x
    JOIN public.users AS u ON u.id = x.user_id AND u.is_active
    WHERE x.organization_id = o.id AND x.user_id <> member AND x.status IN ('active', 'suspended')
      AND o.deleted_at IS NULL)
  FROM public.organizations AS o WHERE o.id = ANY (alone) ORDER BY o.name, o.id;
END $$
"""


@as_owner()
def upgrade() -> None:
    run(STATEMENTS)
    op.execute("GRANT UPDATE (is_active) ON users TO app_system")
    with as_system():
        op.execute(LEAVE)
        op.execute("GRANT EXECUTE ON FUNCTION app.leave_for_good TO app_api")


@as_owner()
def downgrade() -> None:
    op.execute(
        """
        DO $$
        DECLARE
          name text;
        BEGIN
          FOR name IN SELECT tablename FROM pg_policies WHERE schemaname = 'public' AND policyname = 'erasure' LOOP
            EXECUTE format('DROP POLICY erasure ON public.%I', name);
          END LOOP;
        END $$
        """
    )
    op.execute("REVOKE UPDATE (is_active) ON users FROM app_system")
    for name in FUNCTIONS:
        op.execute(f"DROP FUNCTION app.{name}")
    op.execute("REVOKE SELECT (execution_id) ON deliveries FROM app_system")
    op.execute("REVOKE DELETE ON workflow_executions FROM app_system")
    op.execute("DROP TABLE exports")
    op.execute("DROP TABLE erasures")

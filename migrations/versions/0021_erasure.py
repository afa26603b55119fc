"""erasure: what forgetting a person or an organization needs, and what is handed out before"""

from alembic import op

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
    "ALTER TABLE erasures ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE erasures FORCE ROW LEVEL SECURITY",
    """
    CREATE POLICY tenant ON erasures TO app_api, app_worker
    USING (organization_id = (SELECT app.org())) WITH CHECK (organization_id = (SELECT app.org()))
    """,
    "GRANT SELECT, INSERT, UPDATE (status, execution_id, phase, erased, begun_at, ended_at, updated_at) "
    "ON erasures TO app_worker",
    "CREATE TRIGGER touch BEFORE UPDATE ON erasures FOR EACH ROW EXECUTE FUNCTION app.touch()",
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
    CREATE FUNCTION app.begin_removal(subject uuid) RETURNS void LANGUAGE plpgsql VOLATILE
    SET search_path = '' AS $$
    BEGIN
      PERFORM set_config('app.erased', subject::text, true);
      IF NOT EXISTS (SELECT FROM public.erasures WHERE subject_id = subject AND status = 'erasing') THEN
        RAISE insufficient_privilege USING MESSAGE = 'no erasure of this subject is under way';
      END IF;
    END $$
    """,
    """
    CREATE FUNCTION app.erase_rows(subject uuid, target text, belonging text, batch integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
    DECLARE
      key text;
      gone integer;
    BEGIN
      IF NOT app.belongs(target, belonging) OR (target, belonging) = ('users', 'id') THEN
        RAISE insufficient_privilege USING MESSAGE = format('rows of %s do not go by %s', target, belonging);
      END IF;
      PERFORM app.begin_removal(subject);
      SELECT string_agg(format('%I', a.attname), ', ') INTO key
      FROM pg_catalog.pg_index AS i
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
      WHERE i.indrelid = format('public.%I', target)::regclass AND i.indisprimary;
      EXECUTE format('DELETE FROM public.%1$I WHERE %2$I = $1 AND (%3$s) IN '
        '(SELECT %3$s FROM public.%1$I WHERE %2$I = $1 LIMIT $2)', target, belonging, key)
      USING subject, batch;
      GET DIAGNOSTICS gone = ROW_COUNT;
      -- In the same transaction, so that the tombstone counts each row once, whoever is killed in between.
      UPDATE public.erasures SET erased = erased
        || jsonb_build_object(target, coalesce((erased ->> target)::bigint, 0) + gone)
      WHERE subject_id = subject AND status = 'erasing' AND gone > 0;
      PERFORM set_config('app.erased', '', true);
      RETURN gone;
    END $$
    """,
    """
    CREATE FUNCTION app.loosen_rows(subject uuid, target text, reference text, batch integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
    DECLARE
      loose integer;
    BEGIN
      IF NOT app.belongs(target, 'organization_id') THEN
        RAISE insufficient_privilege USING MESSAGE = format('%s belongs to no organization', target);
      END IF;
      PERFORM app.begin_removal(subject);
      EXECUTE format('UPDATE public.%1$I SET %2$I = NULL WHERE organization_id = $1 AND id IN '
        '(SELECT id FROM public.%1$I WHERE organization_id = $1 AND %2$I IS NOT NULL LIMIT $2)',
        target, reference)
      USING subject, batch;
      GET DIAGNOSTICS loose = ROW_COUNT;
      PERFORM set_config('app.erased', '', true);
      RETURN loose;
    END $$
    """,
    # Counts only, so that somebody who erases nothing may ask too: whether all of a subject's rows are reached.
    """
    CREATE FUNCTION app.remaining_rows(subject uuid, target text, belonging text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
    DECLARE
      remaining bigint;
    BEGIN
      IF NOT app.belongs(target, belonging) THEN
        RAISE insufficient_privilege USING MESSAGE = format('rows of %s do not go by %s', target, belonging);
      END IF;
      PERFORM set_config('app.erased', subject::text, true);
      EXECUTE format('SELECT count(*) FROM public.%I WHERE %I = $1', target, belonging)
      INTO remaining USING subject;
      PERFORM set_config('app.erased', '', true);
      RETURN remaining;
    END $$
    """,
    """
    CREATE FUNCTION app.stop_organization(subject uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
    BEGIN
      PERFORM app.begin_removal(subject);
      UPDATE public.organizations SET is_active = false WHERE id = subject AND is_active;
      PERFORM set_config('app.erased', '', true);
    END $$
    """,
    # Every column goes back to what a new row has, those of later releases too; three must differ or be unusable.
    """
    CREATE FUNCTION app.anonymise_user(subject uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
    DECLARE
      emptied text;
    BEGIN
      PERFORM app.begin_removal(subject);
      SELECT string_agg(format('%I = DEFAULT', attname), ', ') INTO emptied
      FROM pg_catalog.pg_attribute
      WHERE attrelid = 'public.users'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
        AND attname NOT IN ('id', 'username', 'email', 'password', 'role_id', 'is_active', 'created_at');
      EXECUTE format('UPDATE public.users SET %s, is_active = false, password = ''!'', '
        'username = ''erased-'' || id, email = ''erased-'' || id || ''@erased.invalid'' WHERE id = $1', emptied)
      USING subject;
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
    "anonymise_user",
    "stop_organization",
    "remaining_rows",
    "loosen_rows",
    "erase_rows",
    "begin_removal",
    "belongs",
    "erased",
)


def upgrade() -> None:
    op.execute("SET LOCAL ROLE app_owner")
    for statement in STATEMENTS:
        op.execute(statement.replace(":", "\\:"))
    op.execute("RESET ROLE")


def downgrade() -> None:
    op.execute("SET LOCAL ROLE app_owner")
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
    for name in FUNCTIONS:
        op.execute(f"DROP FUNCTION app.{name}")
    op.execute("DROP TABLE erasures")
    op.execute("RESET ROLE")

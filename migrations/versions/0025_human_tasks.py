"""human tasks: arguments, four eyes, quorum, deadlines, history, links; and one function that writes decisions"""

from alembic import op

from migrations.ddl import OURS, as_owner, as_system, definer, dropped, isolated, policy, run, seeing

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

WORDS = "kind IN ('voted', 'decided')"
#: What changes about a task while it is open.
MOVED = "assignees, claimed_by, claimed_at, remind_at, escalated_at, overdue_at, announced_at, next_due, updated_at"
PURPOSES = "'verify_email', 'reset_password', 'change_email', 'verify_phone', 'mfa_challenge', 'invitation', 'export'"

CHECKS = {
    "status": "status IN ('open', 'decided', 'cancelled', 'expired')",
    "outcome": "outcome IN ('approved', 'rejected', 'submitted')",
    "on_overdue": "on_overdue IN ('fail', 'reject', 'keep')",
    "quorum": "quorum BETWEEN 1 AND 20",
    "claimed": "(claimed_by IS NULL) = (claimed_at IS NULL)",
    "expired_says_why": "status <> 'expired' OR decision IS NOT NULL",
}

#: One statement each. New columns are empty or constant, so no table is rewritten.
STATEMENTS: tuple[str, ...] = (
    """
    ALTER TABLE tasks
      ADD COLUMN step text,
      ADD COLUMN arguments jsonb,
      ADD COLUMN arguments_digest text,
      ADD COLUMN four_eyes boolean DEFAULT false NOT NULL,
      ADD COLUMN four_eyes_steps text[] DEFAULT '{}' NOT NULL,
      ADD COLUMN quorum integer DEFAULT 1 NOT NULL,
      ADD COLUMN links boolean DEFAULT false NOT NULL,
      ADD COLUMN claimed_by uuid,
      ADD COLUMN claimed_at timestamptz,
      ADD COLUMN decided_by_client uuid,
      ADD COLUMN on_overdue text DEFAULT 'keep' NOT NULL,
      ADD COLUMN remind_at timestamptz[] DEFAULT '{}' NOT NULL,
      ADD COLUMN escalate_at timestamptz,
      ADD COLUMN escalate_to text[] DEFAULT '{}' NOT NULL,
      ADD COLUMN escalated_at timestamptz,
      ADD COLUMN overdue_at timestamptz,
      ADD COLUMN announced_at timestamptz,
      ADD COLUMN next_due timestamptz
    """,
    *(
        f"-- squawk-ignore ban-drop-constraint\nALTER TABLE tasks DROP CONSTRAINT {name}"
        for name in ("ck_tasks_status", "ck_tasks_outcome")
    ),
    # Wider than before, or about columns that are new: every row passes.
    *(
        f"-- squawk-ignore constraint-missing-not-valid\nALTER TABLE tasks ADD CONSTRAINT ck_tasks_{name} CHECK ({check})"
        for name, check in CHECKS.items()
    ),
    """
    -- squawk-ignore adding-foreign-key-constraint, constraint-missing-not-valid
    ALTER TABLE tasks ADD CONSTRAINT fk_tasks_claimed_by FOREIGN KEY (claimed_by) REFERENCES users (id)
    """,
    """
    -- squawk-ignore adding-foreign-key-constraint, constraint-missing-not-valid
    ALTER TABLE tasks ADD CONSTRAINT fk_tasks_decided_by_client FOREIGN KEY (organization_id, decided_by_client)
      REFERENCES clients (organization_id, id) ON DELETE SET NULL (decided_by_client)
    """,
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_tasks_decided_by_client ON tasks (organization_id, decided_by_client)
    """,
    # Lists of tasks of whatever status: all of them, and those that are closed.
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_tasks_created_at_id ON tasks (organization_id, created_at, id)
    """,
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_tasks_next_due ON tasks (next_due) WHERE status = 'open' AND next_due IS NOT NULL
    """,
    """
    CREATE TABLE task_events (
      id uuid DEFAULT gen_random_uuid() NOT NULL,
      organization_id uuid NOT NULL,
      task_id uuid NOT NULL,
      kind text NOT NULL,
      user_id uuid,
      client_id uuid,
      outcome text,
      arguments_digest text,
      comment text,
      data jsonb,
      about jsonb DEFAULT '{}' NOT NULL,
      created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
      CONSTRAINT pk_task_events PRIMARY KEY (id),
      CONSTRAINT uq_task_events_id UNIQUE (organization_id, id),
      CONSTRAINT ck_task_events_kind CHECK (kind IN ('opened', 'claimed', 'released', 'delegated', 'commented',
        'announced', 'reminded', 'escalated', 'overdue', 'voted', 'decided', 'expired')),
      CONSTRAINT ck_task_events_outcome CHECK (outcome IN ('approved', 'rejected', 'submitted')),
      CONSTRAINT fk_task_events_task_id FOREIGN KEY (organization_id, task_id)
        REFERENCES tasks (organization_id, id) ON DELETE CASCADE,
      CONSTRAINT fk_task_events_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE,
      CONSTRAINT fk_task_events_user_id FOREIGN KEY (user_id) REFERENCES users (id),
      CONSTRAINT fk_task_events_client_id FOREIGN KEY (organization_id, client_id)
        REFERENCES clients (organization_id, id) ON DELETE SET NULL (client_id)
    )
    """,
    "CREATE INDEX ix_task_events_task_id_created_at_id ON task_events (organization_id, task_id, created_at, id)",
    "CREATE INDEX ix_task_events_client_id ON task_events (organization_id, client_id)",
    "CREATE INDEX ix_task_events_user_id ON task_events (organization_id, user_id) WHERE user_id IS NOT NULL",
    # Everybody has one word about the same arguments, however many of theirs arrive at once.
    f"""
    CREATE UNIQUE INDEX uq_task_events_word ON task_events (organization_id, task_id, user_id, arguments_digest)
    NULLS NOT DISTINCT
    WHERE user_id IS NOT NULL AND {WORDS}
    """,
    f"""
    CREATE UNIQUE INDEX uq_task_events_client_word ON task_events
      (organization_id, task_id, client_id, arguments_digest) NULLS NOT DISTINCT
    WHERE client_id IS NOT NULL AND {WORDS}
    """,
    """
    CREATE TABLE task_links (
      id uuid DEFAULT gen_random_uuid() NOT NULL,
      organization_id uuid NOT NULL,
      task_id uuid NOT NULL,
      user_id uuid,
      client_id uuid,
      address_sha256 text,
      token_sha256 text NOT NULL,
      expires_at timestamptz NOT NULL,
      used_at timestamptz,
      revoked_at timestamptz,
      created_at timestamptz DEFAULT now() NOT NULL,
      CONSTRAINT pk_task_links PRIMARY KEY (id),
      CONSTRAINT uq_task_links_id UNIQUE (organization_id, id),
      CONSTRAINT uq_task_links_token_sha256 UNIQUE (token_sha256),
      CONSTRAINT ck_task_links_one_holder CHECK ((user_id IS NULL) <> (client_id IS NULL)),
      CONSTRAINT fk_task_links_task_id FOREIGN KEY (organization_id, task_id)
        REFERENCES tasks (organization_id, id) ON DELETE CASCADE,
      CONSTRAINT fk_task_links_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE,
      CONSTRAINT fk_task_links_user_id FOREIGN KEY (user_id) REFERENCES users (id),
      CONSTRAINT fk_task_links_client_id FOREIGN KEY (organization_id, client_id)
        REFERENCES clients (organization_id, id) ON DELETE CASCADE
    )
    """,
    "CREATE UNIQUE INDEX uq_task_links_user ON task_links (organization_id, task_id, user_id) "
    "WHERE user_id IS NOT NULL AND revoked_at IS NULL",
    "CREATE UNIQUE INDEX uq_task_links_client ON task_links (organization_id, task_id, client_id) "
    "WHERE client_id IS NOT NULL AND revoked_at IS NULL",
    "CREATE INDEX ix_task_links_task_id ON task_links (organization_id, task_id)",
    "CREATE INDEX ix_task_links_client_id ON task_links (organization_id, client_id)",
    *isolated("task_events", by=("system", "erasure")),
    *isolated("task_links", by=("tenant", "system", "erasure")),
    policy("system", "tasks"),
    # A word of somebody is written by app.decide_task alone.
    f"""
    CREATE POLICY tenant ON task_events TO app_api, app_worker
    USING ({OURS}) WITH CHECK ({OURS} AND NOT {WORDS})
    """,
    "GRANT SELECT, INSERT ON task_events TO app_api, app_worker",
    "GRANT SELECT (id, organization_id, task_id, user_id, client_id, address_sha256, expires_at, used_at, revoked_at, "
    "created_at), UPDATE (used_at, revoked_at) ON task_links TO app_api, app_worker",
    "GRANT INSERT ON task_links TO app_worker",
    # Outcome, decision and who decided are out of reach of everybody but app.decide_task.
    "REVOKE UPDATE ON tasks FROM app_api, app_worker",
    """
    CREATE POLICY undecided ON tasks AS RESTRICTIVE FOR INSERT TO app_worker
    WITH CHECK (outcome IS NULL AND decision IS NULL AND decided_at IS NULL)
    """,
    f"GRANT UPDATE ({MOVED}) ON tasks TO app_api",
    f"GRANT UPDATE ({MOVED}, status, step, kind, title, description, form, arguments, arguments_digest, four_eyes, "
    "four_eyes_steps, quorum, links, due_at, on_overdue, escalate_at, escalate_to) ON tasks TO app_worker",
    "GRANT SELECT, UPDATE (status, outcome, decision, decided_by, decided_by_client, decided_at, updated_at) "
    "ON tasks TO app_system",
    "GRANT SELECT, INSERT ON task_events TO app_system",
    "GRANT SELECT ON task_links TO app_system",
    "-- squawk-ignore ban-drop-trigger\nDROP TRIGGER audit ON tasks",
    """
    CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION public.audit_trigger(
      'organization', 'organization_id', '{id}',
      '{execution_id,kind,status,outcome,decided_by,decided_by_client,decided_at,due_at,on_overdue,four_eyes,quorum,claimed_by,claimed_at,escalated_at,overdue_at}',
      '{updated_at,next_due,remind_at,announced_at}', '{}')
    """,
    "-- squawk-ignore ban-drop-constraint\nALTER TABLE auth_tokens DROP CONSTRAINT ck_auth_tokens_purpose",
    f"""
    -- squawk-ignore constraint-missing-not-valid
    ALTER TABLE auth_tokens ADD CONSTRAINT ck_auth_tokens_purpose CHECK (purpose IN ({PURPOSES}, 'task'))
    """,
    # A claim counts while this is true of its holder. As `domain.permissions.decide` does; a test holds the shipped
    # roles named here to the code's.
    """
    CREATE FUNCTION app.decides_tasks(organization uuid, person uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
      SELECT EXISTS (
        SELECT FROM public.user_organizations AS m JOIN public.roles AS r ON r.id = m.role_id
        WHERE m.organization_id = organization AND m.user_id = person AND m.status = 'active'
          AND NOT coalesce(m.permissions_override -> 'deny', '[]') ? 'tasks:decide'
          AND (coalesce(m.permissions_override -> 'grant', '[]') ? 'tasks:decide'
            OR CASE WHEN r.organization_id IS NULL
              THEN r.name IN ('owner', 'admin', 'manager', 'member', 'reviewer', 'client')
              ELSE 'tasks:decide' = ANY (r.permissions) END))
    $$
    """,
    # Whoever may read executions sees every task of the organization; others what is put to them. As
    # `domain.permissions.decide` does; a test holds the shipped roles named here to the code's.
    """
    CREATE FUNCTION app.reads_executions() RETURNS boolean LANGUAGE sql STABLE AS $$
      SELECT EXISTS (
        SELECT FROM public.user_organizations AS m JOIN public.roles AS r ON r.id = m.role_id
        WHERE m.organization_id = (SELECT app.org()) AND m.user_id = (SELECT app.me()) AND m.status = 'active'
          AND NOT coalesce(m.permissions_override -> 'deny', '[]') ? 'executions:read'
          AND (coalesce(m.permissions_override -> 'grant', '[]') ? 'executions:read'
            OR CASE WHEN r.organization_id IS NULL
              THEN r.name IN ('owner', 'admin', 'manager', 'member', 'reviewer', 'auditor')
              ELSE 'executions:read' = ANY (r.permissions) END))
    $$
    """,
    # Under the policy on tasks. A function, because planning that policy again inside of others takes longer than
    # what is asked.
    """
    CREATE FUNCTION app.sees_task(wanted uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
      SELECT EXISTS (SELECT FROM public.tasks AS t WHERE t.organization_id = (SELECT app.org()) AND t.id = wanted)
    $$
    """,
    # As candidates of a task name whoever entered.
    """
    CREATE FUNCTION app.my_names() RETURNS text[] LANGUAGE sql STABLE AS $$
      SELECT ARRAY['user:' || lower(u.email), 'role:' || lower(r.name)]
      FROM public.user_organizations AS m JOIN public.users AS u ON u.id = m.user_id
      JOIN public.roles AS r ON r.id = m.role_id
      WHERE m.organization_id = (SELECT app.org()) AND m.user_id = (SELECT app.me()) AND m.status = 'active'
    $$
    """,
)

#: Signature → body and who may call. Each runs as app_system, with nothing on its search path.
DEFINERS = {
    # Whom four eyes keep from a task: who started its execution, the one this repeats, or one that it was started by;
    # and who decided these steps. Whoever repeats a parent starts its children anew, and these know nothing of what is
    # repeated: so the way leads up as well as back. Named steps are those of the execution itself and of what it
    # repeats; a parent may call its own so.
    # Whatever the asker sees of it: otherwise a delegator who sees little would hand a task to whom it may not come.
    "app.barred_from_task(wanted uuid) RETURNS TABLE (user_id uuid, client_id uuid, step text) LANGUAGE sql STABLE": (
        f"""
        WITH RECURSIVE it AS (
          SELECT t.* FROM public.tasks AS t WHERE t.organization_id = (SELECT app.org()) AND t.id = wanted),
        chain AS (
          SELECT e.id, e.organization_id, e.started_by, e.parent_id,
            CAST(e.execution_context ->> 'rerun_of' AS uuid) AS earlier, true AS is_itself
          FROM public.workflow_executions AS e, it
          WHERE e.organization_id = it.organization_id AND e.id = it.execution_id
          UNION
          SELECT e.id, e.organization_id, e.started_by, e.parent_id,
            CAST(e.execution_context ->> 'rerun_of' AS uuid), c.is_itself AND e.id = c.earlier
          FROM chain AS c
          JOIN public.workflow_executions AS e
            ON e.organization_id = c.organization_id AND e.id = ANY (ARRAY[c.earlier, c.parent_id])
        )
        SELECT DISTINCT c.started_by, CAST(NULL AS uuid), CAST(NULL AS text)
        FROM chain AS c, it WHERE it.four_eyes AND c.started_by IS NOT NULL
        UNION ALL
        SELECT w.user_id, w.client_id, t.step
        FROM it
        JOIN public.tasks AS t ON t.organization_id = it.organization_id AND t.step = ANY (it.four_eyes_steps)
          AND t.id <> it.id AND t.execution_id IN (SELECT c.id FROM chain AS c WHERE c.is_itself)
        JOIN public.task_events AS w ON w.organization_id = t.organization_id AND w.task_id = t.id AND w.{WORDS}
        """,  # noqa: S608 - constants only
        "app_api, app_worker",
    ),
    # The only hand that writes a word or a decision. Whoever calls it has told people in their own words why
    # something is refused; this refuses all of it again, so that a mistake there decides nothing.
    "app.decide_task(wanted uuid, given jsonb) RETURNS text LANGUAGE plpgsql VOLATILE": (
        """
        DECLARE
          it public.tasks;
          said text := given ->> 'outcome';
          person uuid := (given ->> 'user_id')::uuid;
          customer uuid := (given ->> 'client_id')::uuid;
          moment timestamptz := (given ->> 'at')::timestamptz;
          closes boolean;
        BEGIN
          SELECT t.* INTO it FROM public.tasks AS t
          WHERE t.id = wanted AND t.organization_id = (SELECT app.org()) FOR UPDATE;
          IF NOT FOUND OR it.status <> 'open' THEN
            RETURN 'closed';
          ELSIF person IS DISTINCT FROM (SELECT app.me()) THEN
            RAISE insufficient_privilege USING MESSAGE = 'nobody decides in the name of somebody else';
          ELSIF person IS NULL AND customer IS NULL THEN
            IF it.on_overdue = 'keep' OR it.due_at IS NULL OR it.due_at > moment THEN
              RAISE insufficient_privilege USING MESSAGE = 'this task is not closed by its deadline';
            END IF;
            UPDATE public.tasks AS t
            SET status = CASE it.on_overdue WHEN 'reject' THEN 'decided' ELSE 'expired' END,
              outcome = CASE it.on_overdue WHEN 'reject' THEN 'rejected' END,
              decision = given -> 'decision', decided_at = moment
            WHERE t.id = wanted;
            RETURN CASE it.on_overdue WHEN 'reject' THEN 'decided' ELSE 'expired' END;
          ELSIF it.on_overdue <> 'keep' AND it.due_at <= moment THEN
            RAISE insufficient_privilege USING MESSAGE = 'the deadline of this task has passed';
          ELSIF it.claimed_by IS DISTINCT FROM person AND app.decides_tasks(it.organization_id, it.claimed_by) THEN
            RAISE insufficient_privilege USING MESSAGE = 'somebody else has claimed this task';
          ELSIF it.arguments_digest IS DISTINCT FROM given ->> 'arguments_digest' THEN
            RAISE insufficient_privilege USING MESSAGE = 'these are not the arguments of this task';
          ELSIF (said = 'submitted') <> (it.kind = 'form') THEN
            RAISE insufficient_privilege USING MESSAGE = 'this task has no such outcome';
          ELSIF EXISTS (SELECT FROM app.barred_from_task(wanted) AS b
              WHERE b.user_id = person OR b.client_id = customer) THEN
            RAISE insufficient_privilege USING MESSAGE = 'four eyes keep this person from deciding';
          ELSIF (it.assignees <> '{}' OR person IS NULL) AND NOT it.assignees && (CASE
              WHEN person IS NULL THEN ARRAY['client:' || customer] ELSE app.my_names() END) THEN
            RAISE insufficient_privilege USING MESSAGE = 'this task is assigned to others';
          ELSIF person IS NOT NULL AND it.assignees = '{}' AND it.claimed_by IS DISTINCT FROM person
              AND NOT app.reads_executions() AND wanted NOT IN (SELECT app.my_tasks()) THEN
            RAISE insufficient_privilege USING MESSAGE = 'this task is put to others';
          END IF;
          closes := said <> 'approved' OR it.quorum <= 1 + (
            SELECT count(*) FROM public.task_events AS w
            WHERE w.organization_id = it.organization_id AND w.task_id = wanted AND w.kind = 'voted'
              AND w.arguments_digest IS NOT DISTINCT FROM it.arguments_digest);
          INSERT INTO public.task_events
            (organization_id, task_id, kind, user_id, client_id, outcome, arguments_digest, comment, data, about,
              created_at)
          VALUES (it.organization_id, wanted, CASE WHEN closes THEN 'decided' ELSE 'voted' END, person, customer,
            said, it.arguments_digest, given ->> 'comment', nullif(given -> 'data', 'null'), coalesce(given -> 'about', '{}'), moment);
          IF NOT closes THEN
            RETURN 'open';
          END IF;
          UPDATE public.tasks AS t
          SET status = 'decided', outcome = said, decision = given -> 'decision', decided_by = person,
            decided_by_client = customer, decided_at = moment
          WHERE t.id = wanted;
          RETURN 'decided';
        END
        """,
        "app_api, app_worker",
    ),
    # Whose task a link is about, for whoever holds it; nothing has been entered yet.
    "app.find_task_link(wanted text) RETURNS TABLE (id uuid, organization_id uuid, task_id uuid, user_id uuid, "
    "client_id uuid, address_sha256 text, expires_at timestamptz, used_at timestamptz, revoked_at timestamptz) LANGUAGE sql STABLE": (
        """
        SELECT l.id, l.organization_id, l.task_id, l.user_id, l.client_id, l.address_sha256, l.expires_at, l.used_at,
          l.revoked_at
        FROM public.task_links AS l
        JOIN public.organizations AS o ON o.id = l.organization_id AND o.is_active
        WHERE l.token_sha256 = wanted
        """,
        "app_api",
    ),
    # Tasks in whose history whoever entered has a line. Beside the policies: that of the history asks for the task.
    "app.my_tasks() RETURNS SETOF uuid LANGUAGE sql STABLE": (
        """
        SELECT DISTINCT e.task_id FROM public.task_events AS e
        WHERE e.organization_id = (SELECT app.org()) AND e.user_id = (SELECT app.me())
        """,
        "app_api",
    ),
    # Open tasks that too few candidates are left for without this client, whether or not whoever would delete it
    # sees them; a role may always find somebody.
    "app.awaiting_client(wanted uuid) RETURNS SETOF uuid LANGUAGE sql STABLE": (
        """
        SELECT t.id FROM public.tasks AS t
        WHERE t.organization_id = (SELECT app.org()) AND t.status = 'open' AND 'client:' || wanted = ANY (t.assignees)
          AND t.quorum > (
            SELECT count(DISTINCT a) FROM unnest(t.assignees) AS a
            WHERE a <> 'client:' || wanted
              AND (NOT starts_with(a, 'client:') OR EXISTS (
                SELECT FROM public.clients AS c
                WHERE c.organization_id = t.organization_id AND 'client:' || c.id = a)))
          AND NOT EXISTS (SELECT FROM unnest(t.assignees) AS a WHERE starts_with(a, 'role:'))
        ORDER BY t.created_at, t.id LIMIT 5
        """,
        "app_api",
    ),
}

#: Narrower than the organization, for what the API does in a person's name: whoever may not read executions sees the
#: tasks that name them, that are theirs, and that they had a hand in; and of those alone what belongs to them.
VISIBLE = {
    "tasks": "(SELECT app.reads_executions()) OR assignees && (SELECT app.my_names()) "
    "OR (SELECT app.me()) IN (claimed_by, decided_by) OR id IN (SELECT app.my_tasks())",
    **dict.fromkeys(
        ("task_events", "task_links"), "(SELECT app.reads_executions()) OR app.sees_task(task_id)"
    ),
}


@as_owner()
def upgrade() -> None:
    run(STATEMENTS)
    op.execute("GRANT EXECUTE ON FUNCTION app.decides_tasks TO app_api, app_worker, app_system")
    op.execute("GRANT EXECUTE ON FUNCTION app.reads_executions, app.my_names TO app_api, app_system")
    op.execute("GRANT EXECUTE ON FUNCTION app.sees_task TO app_api")
    with as_system():
        for signature, (body, callers) in DEFINERS.items():
            run(definer(signature, body, callers))
    for table, seen in VISIBLE.items():
        op.execute(f"CREATE POLICY visible ON {table} AS RESTRICTIVE TO app_api USING ({seen})")


@as_owner()
def downgrade() -> None:
    for table in VISIBLE:
        op.execute(f"DROP POLICY visible ON {table}")
    run(dropped(DEFINERS))
    op.execute("DROP FUNCTION app.decides_tasks")
    op.execute("DROP FUNCTION app.reads_executions")
    op.execute("DROP FUNCTION app.my_names")
    op.execute("DROP FUNCTION app.sees_task")
    with seeing("tasks", "auth_tokens"):
        op.execute("DELETE FROM auth_tokens WHERE purpose = 'task'")
        op.execute("ALTER TABLE auth_tokens DROP CONSTRAINT ck_auth_tokens_purpose")
        op.execute(
            "-- squawk-ignore constraint-missing-not-valid\n"
            f"ALTER TABLE auth_tokens ADD CONSTRAINT ck_auth_tokens_purpose CHECK (purpose IN ({PURPOSES}))"
        )
        op.execute("DROP TABLE task_links")
        op.execute("DROP TABLE task_events")
        op.execute("DROP POLICY system ON tasks")
        op.execute("DROP POLICY undecided ON tasks")
        op.execute("REVOKE ALL ON tasks FROM app_api, app_worker, app_system")
        op.execute("GRANT SELECT, UPDATE ON tasks TO app_api")
        op.execute("GRANT SELECT, INSERT, UPDATE ON tasks TO app_worker")
        op.execute("DROP TRIGGER audit ON tasks")
        op.execute("DROP INDEX ix_tasks_next_due")
        op.execute("DROP INDEX ix_tasks_created_at_id")
        # The release before knows neither word.
        op.execute(
            "ALTER TABLE tasks DROP CONSTRAINT ck_tasks_status, DROP CONSTRAINT ck_tasks_outcome, "
            "DROP CONSTRAINT ck_tasks_expired_says_why"
        )
        op.execute("UPDATE tasks SET status = 'cancelled', decision = NULL WHERE status = 'expired'")
        op.execute("UPDATE tasks SET outcome = 'approved' WHERE outcome = 'submitted'")
        for name, words in (
            ("status", "'open', 'decided', 'cancelled'"),
            ("outcome", "'approved', 'rejected'"),
        ):
            op.execute(
                "-- squawk-ignore constraint-missing-not-valid\n"
                f"ALTER TABLE tasks ADD CONSTRAINT ck_tasks_{name} CHECK ({name} IN ({words}))"
            )
    columns = (
        "step, arguments, arguments_digest, four_eyes, four_eyes_steps, quorum, links, claimed_by, claimed_at, "
        "decided_by_client, on_overdue, remind_at, escalate_at, escalate_to, escalated_at, overdue_at, "
        "announced_at, next_due"
    )
    op.execute("ALTER TABLE tasks " + ", ".join(f"DROP COLUMN {name}" for name in columns.split(", ")))
    op.execute(
        "CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON tasks FOR EACH ROW "
        "EXECUTE FUNCTION public.audit_trigger('organization', 'organization_id', '{id}', "
        "'{execution_id,kind,status,outcome,decided_by,decided_at,due_at}', '{updated_at}', '{}')"
    )

"""schedules: when triggers fire, and what became of every nominal fire"""

from alembic import op

from migrations.ddl import as_owner, isolated, run, touched

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

CREATED = ("schedules", "schedule_occurrences")

#: One statement each.
STATEMENTS: tuple[str, ...] = (
    """
    CREATE TABLE schedules (
      id uuid NOT NULL,
      organization_id uuid NOT NULL,
      plan jsonb,
      time_zone text,
      anchor timestamptz NOT NULL,
      since timestamptz NOT NULL,
      due_at timestamptz,
      next_at timestamptz,
      changed_at timestamptz,
      paused_at timestamptz,
      paused_by uuid,
      pause_reason text,
      last_execution_id uuid,
      awaits uuid,
      backfill_awaits uuid,
      problem text,
      created_at timestamptz DEFAULT now() NOT NULL,
      updated_at timestamptz DEFAULT now() NOT NULL,
      CONSTRAINT pk_schedules PRIMARY KEY (id),
      CONSTRAINT uq_schedules_id UNIQUE (organization_id, id),
      CONSTRAINT fk_schedules_id FOREIGN KEY (organization_id, id)
        REFERENCES triggers (organization_id, id) ON DELETE CASCADE,
      CONSTRAINT fk_schedules_last_execution_id FOREIGN KEY (organization_id, last_execution_id)
        REFERENCES workflow_executions (organization_id, id) ON DELETE SET NULL (last_execution_id),
      CONSTRAINT fk_schedules_awaits FOREIGN KEY (organization_id, awaits)
        REFERENCES workflow_executions (organization_id, id) ON DELETE SET NULL (awaits),
      CONSTRAINT fk_schedules_backfill_awaits FOREIGN KEY (organization_id, backfill_awaits)
        REFERENCES workflow_executions (organization_id, id) ON DELETE SET NULL (backfill_awaits),
      CONSTRAINT fk_schedules_paused_by FOREIGN KEY (paused_by) REFERENCES users (id),
      CONSTRAINT fk_schedules_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_schedules_last_execution_id ON schedules (organization_id, last_execution_id)",
    "CREATE INDEX ix_schedules_awaits ON schedules (organization_id, awaits)",
    "CREATE INDEX ix_schedules_backfill_awaits ON schedules (organization_id, backfill_awaits)",
    "CREATE INDEX ix_schedules_created_at_id ON schedules (organization_id, created_at, id)",
    "CREATE INDEX ix_schedules_due_at ON schedules (due_at) WHERE due_at IS NOT NULL",
    # What the firing loop looks through for ends: the few that wait for one.
    """
    CREATE INDEX ix_schedules_waiting ON schedules (id)
    WHERE awaits IS NOT NULL OR backfill_awaits IS NOT NULL
    """,
    """
    CREATE TABLE schedule_occurrences (
      id uuid DEFAULT gen_random_uuid() NOT NULL,
      organization_id uuid NOT NULL,
      schedule_id uuid NOT NULL,
      nominal_at timestamptz NOT NULL,
      origin text NOT NULL,
      status text NOT NULL,
      reason text,
      detail text,
      execution_id uuid,
      requested_by uuid,
      side_by_side boolean DEFAULT false NOT NULL,
      is_late boolean DEFAULT false NOT NULL,
      decided_at timestamptz NOT NULL,
      created_at timestamptz DEFAULT now() NOT NULL,
      CONSTRAINT pk_schedule_occurrences PRIMARY KEY (id),
      CONSTRAINT uq_schedule_occurrences_id UNIQUE (organization_id, id),
      CONSTRAINT uq_schedule_occurrences_nominal UNIQUE (organization_id, schedule_id, nominal_at),
      CONSTRAINT ck_schedule_occurrences_origin CHECK (origin IN ('clock', 'backfill', 'person')),
      CONSTRAINT ck_schedule_occurrences_status
        CHECK (status IN ('ran', 'buffered', 'skipped', 'missed', 'backfilled')),
      CONSTRAINT ck_schedule_occurrences_reason
        CHECK (reason IN ('overlap', 'superseded', 'paused', 'workflow_paused', 'workflow_archived',
                          'not_published', 'organization', 'input', 'withdrawn', 'late')),
      CONSTRAINT fk_schedule_occurrences_schedule_id FOREIGN KEY (organization_id, schedule_id)
        REFERENCES schedules (organization_id, id) ON DELETE CASCADE,
      CONSTRAINT fk_schedule_occurrences_execution_id FOREIGN KEY (organization_id, execution_id)
        REFERENCES workflow_executions (organization_id, id) ON DELETE SET NULL (execution_id),
      CONSTRAINT fk_schedule_occurrences_requested_by FOREIGN KEY (requested_by) REFERENCES users (id),
      CONSTRAINT fk_schedule_occurrences_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE INDEX ix_schedule_occurrences_execution_id ON schedule_occurrences (organization_id, execution_id)
    """,
    """
    CREATE INDEX ix_schedule_occurrences_buffered
    ON schedule_occurrences (organization_id, schedule_id, origin, nominal_at) WHERE status = 'buffered'
    """,
    "CREATE INDEX ix_schedule_occurrences_decided_at ON schedule_occurrences (decided_at)",
    *isolated(*CREATED, by=("tenant", "system", "erasure")),
    "GRANT SELECT, INSERT, UPDATE ON schedules, schedule_occurrences TO app_api",
    "GRANT SELECT, UPDATE ON schedules TO app_worker",
    "GRANT SELECT, INSERT, UPDATE ON schedule_occurrences TO app_worker",
    # The firing loop asks across organizations what is due; the sweeper forgets what is old.
    "GRANT SELECT (id, organization_id, due_at, awaits, backfill_awaits) ON schedules TO app_system",
    "GRANT SELECT (id, organization_id, status, decided_at), DELETE ON schedule_occurrences TO app_system",
    touched("schedules"),
    # Schedules without a zone of their own follow their organization's, from the moment it changes.
    """
    CREATE FUNCTION app.wake_schedules() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
    BEGIN
      UPDATE public.schedules SET due_at = clock_timestamp(), changed_at = coalesce(changed_at, clock_timestamp())
      WHERE organization_id = NEW.id AND time_zone IS NOT NULL;
      RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER wake_schedules AFTER UPDATE OF timezone ON organizations FOR EACH ROW
    WHEN (OLD.timezone IS DISTINCT FROM NEW.timezone) EXECUTE FUNCTION app.wake_schedules()
    """,
)


@as_owner()
def upgrade() -> None:
    run(STATEMENTS)


@as_owner()
def downgrade() -> None:
    op.execute("DROP TRIGGER wake_schedules ON organizations")
    op.execute("DROP FUNCTION app.wake_schedules")
    run(f"DROP TABLE {table}" for table in reversed(CREATED))

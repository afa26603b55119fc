"""event routing: what events start, and what they are correlated with"""

from alembic import op

from migrations.ddl import as_owner, granted, isolated, run

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

#: One statement each. New columns are empty, so no table is rewritten.
STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE triggers ADD COLUMN event_types text[]",
    "ALTER TABLE events ADD COLUMN sent_by uuid",
    """
    -- squawk-ignore adding-foreign-key-constraint, constraint-missing-not-valid
    ALTER TABLE events ADD CONSTRAINT fk_events_sent_by FOREIGN KEY (sent_by) REFERENCES users (id)
    """,
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_triggers_of_events ON triggers (organization_id) WHERE type = 'event' AND is_active
    """,
    """
    CREATE TABLE event_routings (
      id uuid DEFAULT gen_random_uuid() NOT NULL,
      organization_id uuid NOT NULL,
      event_id uuid NOT NULL,
      trigger_id uuid NOT NULL,
      number bigint NOT NULL,
      verdict text DEFAULT 'pending' NOT NULL,
      reason text,
      filter integer,
      correlation text,
      execution_id uuid,
      attempts integer DEFAULT '0' NOT NULL,
      leased_until timestamptz DEFAULT now() NOT NULL,
      created_at timestamptz DEFAULT now() NOT NULL,
      decided_at timestamptz,
      CONSTRAINT pk_event_routings PRIMARY KEY (id),
      CONSTRAINT uq_event_routings_id UNIQUE (organization_id, id),
      CONSTRAINT uq_event_routings_event_id_trigger_id UNIQUE (organization_id, event_id, trigger_id),
      CONSTRAINT fk_event_routings_event_id FOREIGN KEY (organization_id, event_id)
        REFERENCES events (organization_id, id) ON DELETE CASCADE,
      CONSTRAINT fk_event_routings_trigger_id FOREIGN KEY (organization_id, trigger_id)
        REFERENCES triggers (organization_id, id) ON DELETE CASCADE,
      CONSTRAINT fk_event_routings_execution_id FOREIGN KEY (organization_id, execution_id)
        REFERENCES workflow_executions (organization_id, id) ON DELETE SET NULL (execution_id),
      CONSTRAINT ck_event_routings_verdict
        CHECK (verdict IN ('pending', 'started', 'held', 'filtered', 'late', 'refused', 'failed')),
      CONSTRAINT ck_event_routings_held CHECK (verdict <> 'held' OR (filter IS NOT NULL AND correlation IS NOT NULL)),
      CONSTRAINT fk_event_routings_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_event_routings_trigger_id ON event_routings (organization_id, trigger_id)",
    "CREATE INDEX ix_event_routings_execution_id ON event_routings (organization_id, execution_id)",
    # The queue, organization by organization: none waits for another one's flood.
    """
    CREATE INDEX ix_event_routings_pending ON event_routings (organization_id, leased_until, number)
      WHERE verdict = 'pending'
    """,
    # What last went wrong at a trigger, among all that it only did not want.
    """
    CREATE INDEX ix_event_routings_wrong ON event_routings (organization_id, trigger_id, number)
      WHERE verdict IN ('failed', 'refused')
    """,
    """
    CREATE INDEX ix_event_routings_held ON event_routings (organization_id, trigger_id, correlation, filter, number)
      WHERE verdict = 'held'
    """,
    """
    CREATE TABLE execution_outcomes (
      id uuid DEFAULT gen_random_uuid() NOT NULL,
      organization_id uuid NOT NULL,
      execution_id uuid NOT NULL,
      type text NOT NULL,
      told jsonb DEFAULT '{}' NOT NULL,
      attempts integer DEFAULT '0' NOT NULL,
      leased_until timestamptz DEFAULT now() NOT NULL,
      created_at timestamptz DEFAULT now() NOT NULL,
      CONSTRAINT pk_execution_outcomes PRIMARY KEY (id),
      CONSTRAINT uq_execution_outcomes_id UNIQUE (organization_id, id),
      CONSTRAINT fk_execution_outcomes_execution_id FOREIGN KEY (organization_id, execution_id)
        REFERENCES workflow_executions (organization_id, id) ON DELETE CASCADE,
      CONSTRAINT fk_execution_outcomes_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_execution_outcomes_execution_id ON execution_outcomes (organization_id, execution_id)",
    "CREATE INDEX ix_execution_outcomes_leased_until ON execution_outcomes (organization_id, leased_until)",
)

CREATED = ("event_routings", "execution_outcomes")
#: What happened to a row while it was looked at.
LEASE = "attempts, leased_until"
GRANTS = {
    "event_routings": {
        # Whoever records an event writes for which triggers it may be meant; people may have it looked at once more.
        "app_api": f"SELECT, INSERT, UPDATE (verdict, reason, filter, correlation, {LEASE}, decided_at)",
        "app_worker": f"SELECT, INSERT, UPDATE (verdict, reason, filter, correlation, execution_id, {LEASE}, decided_at)",
        "app_system": f"SELECT, UPDATE ({LEASE})",
    },
    "execution_outcomes": {
        # Cancelling what has not started ends it.
        "app_api": "SELECT (id, organization_id), INSERT",
        "app_worker": "SELECT, INSERT, DELETE",
        "app_system": f"SELECT (id, organization_id, created_at, {LEASE}), UPDATE ({LEASE})",
    },
    # People read what arrived, and an event that comes twice is compared with the one that is there.
    "events": {"app_api": "SELECT (content, execution_id, sent_by, created_at)"},
}


@as_owner()
def upgrade() -> None:
    run(STATEMENTS)
    run(isolated(*CREATED, by=("tenant", "system", "erasure")))
    run(granted(GRANTS))


@as_owner()
def downgrade() -> None:
    op.execute("REVOKE SELECT (content, execution_id, created_at) ON events FROM app_api")
    run(f"DROP TABLE {table}" for table in reversed(CREATED))
    op.execute("DROP INDEX ix_triggers_of_events")
    op.execute("ALTER TABLE triggers DROP COLUMN event_types")
    op.execute("ALTER TABLE events DROP COLUMN sent_by")

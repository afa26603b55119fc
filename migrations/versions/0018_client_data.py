"""clients: search, tags, one primary contact, managers who leave, imports and exports"""

from alembic import op

from migrations.ddl import as_system, granted, isolated, policy, run, seeing

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

#: Trusted extensions of PostgreSQL's own distribution: whoever may create in the database may create them.
EXTENSIONS = ("pg_trgm", "btree_gin")

#: What `q` is looked for in. Any change here changes the indexes, and `db.clientsearch` with them.
CLIENT_WORDS = (
    "(name || ' ' || coalesce(company_name, '') || ' ' || coalesce(client_number, '') "
    "|| ' ' || coalesce(email, ''))"
)
CONTACT_WORDS = "(first_name || ' ' || last_name || ' ' || coalesce(email, ''))"

STATEMENTS = (
    "ALTER TABLE clients ADD COLUMN tags text[] DEFAULT '{}' NOT NULL",
    f"""
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_clients_words ON clients USING gin (organization_id, {CLIENT_WORDS} public.gin_trgm_ops)
    """,
    f"""
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_contacts_words ON contacts USING gin (organization_id, {CONTACT_WORDS} public.gin_trgm_ops)
    """,
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_clients_name_lower ON clients (organization_id, lower(name), id)
    """,
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_clients_assigned_manager ON clients (organization_id, assigned_manager)
        WHERE assigned_manager IS NOT NULL
    """,
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_contacts_email_lower ON contacts (organization_id, lower(email))
    """,
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE UNIQUE INDEX uq_contacts_primary ON contacts (organization_id, client_id)
        WHERE is_primary AND client_id IS NOT NULL
    """,
    """
    CREATE TABLE transfers (
      id uuid DEFAULT gen_random_uuid() NOT NULL,
      organization_id uuid NOT NULL,
      direction text NOT NULL,
      kind text NOT NULL,
      mode text,
      match_by text,
      dry_run boolean DEFAULT false NOT NULL,
      filename text,
      settings jsonb DEFAULT '{}' NOT NULL,
      total integer DEFAULT '0' NOT NULL,
      execution_id uuid,
      created_by uuid,
      created_at timestamptz DEFAULT now() NOT NULL,
      completed_at timestamptz,
      CONSTRAINT pk_transfers PRIMARY KEY (id),
      CONSTRAINT uq_transfers_id UNIQUE (organization_id, id),
      CONSTRAINT ck_transfers_direction CHECK (direction IN ('import', 'export')),
      CONSTRAINT ck_transfers_kind CHECK (kind IN ('clients', 'contacts')),
      CONSTRAINT ck_transfers_mode CHECK (mode IN ('create', 'upsert')),
      CONSTRAINT ck_transfers_match_by CHECK (match_by IN ('client_number', 'email')),
      CONSTRAINT fk_transfers_execution_id FOREIGN KEY (organization_id, execution_id)
        REFERENCES workflow_executions (organization_id, id) ON DELETE SET NULL (execution_id),
      CONSTRAINT fk_transfers_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE,
      CONSTRAINT fk_transfers_created_by FOREIGN KEY (created_by) REFERENCES users (id)
    )
    """,
    "CREATE INDEX ix_transfers_created_at_id ON transfers (organization_id, created_at, id)",
    "CREATE INDEX ix_transfers_execution_id ON transfers (organization_id, execution_id)",
    """
    CREATE TABLE transfer_parts (
      id uuid DEFAULT gen_random_uuid() NOT NULL,
      organization_id uuid NOT NULL,
      transfer_id uuid NOT NULL,
      number integer NOT NULL,
      rows integer DEFAULT '0' NOT NULL,
      content bytea,
      report bytea,
      created integer DEFAULT '0' NOT NULL,
      updated integer DEFAULT '0' NOT NULL,
      unchanged integer DEFAULT '0' NOT NULL,
      failed integer DEFAULT '0' NOT NULL,
      last_at timestamptz,
      last_id uuid,
      created_at timestamptz DEFAULT now() NOT NULL,
      finished_at timestamptz,
      CONSTRAINT pk_transfer_parts PRIMARY KEY (id),
      CONSTRAINT uq_transfer_parts_id UNIQUE (organization_id, id),
      CONSTRAINT uq_transfer_parts_transfer_id_number UNIQUE (organization_id, transfer_id, number),
      CONSTRAINT fk_transfer_parts_transfer_id FOREIGN KEY (organization_id, transfer_id)
        REFERENCES transfers (organization_id, id) ON DELETE CASCADE,
      CONSTRAINT fk_transfer_parts_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_transfer_parts_created_at ON transfer_parts (created_at)",
)

CREATED = ("transfers", "transfer_parts")
GRANTS = {
    "transfers": {
        "app_api": "SELECT, INSERT",
        "app_worker": "SELECT, UPDATE (total, completed_at)",
    },
    "transfer_parts": {
        "app_api": "SELECT, INSERT",
        "app_worker": "SELECT, INSERT, UPDATE",
        "app_system": "SELECT (id, organization_id, created_at), DELETE",
    },
    "clients": {
        "app_system": "SELECT (id, organization_id, name, company_name, client_number, email, assigned_manager), "
        "UPDATE (assigned_manager)"
    },
    "contacts": {"app_system": "SELECT (id, organization_id, first_name, last_name, email)"},
    # What people do over the API is told as well; what the events hold, only workers read.
    "events": {"app_api": "SELECT (id, organization_id, number, source, event_id, type), INSERT"},
}
SYSTEM = ("clients", "contacts", "transfer_parts")

#: ILIKE is not leakproof, so under row level security no index serves it. These filter by themselves, by the
#: organization that the transaction has entered, and answer nothing but ids. EXECUTE plans each call anew, for the
#: words at hand: the longest one (`wanted[1]`) is the one the index is best asked for.
SEARCH = """
CREATE FUNCTION app.search_{table}(wanted text[]) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  RETURN QUERY EXECUTE
    'SELECT id FROM public.{table} WHERE organization_id = $1 AND {words} ILIKE $2 AND {words} ILIKE ALL ($3)'
    USING app.org(), wanted[1], wanted;
END $$
"""
#: A client without a manager is seen by whoever looks for one; a manager who is gone would hide that.
RELEASE = """
CREATE FUNCTION app.release_clients() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  UPDATE public.clients SET assigned_manager = NULL
  WHERE organization_id = OLD.organization_id AND assigned_manager = OLD.user_id;
  RETURN NULL;
END $$
"""
FUNCTIONS = ("search_clients(text[])", "search_contacts(text[])", "release_clients()")


def _quoted(sql: str) -> str:
    return sql.replace("'", "''")


def upgrade() -> None:
    for extension in EXTENSIONS:
        op.execute(f"CREATE EXTENSION IF NOT EXISTS {extension} WITH SCHEMA public")
    op.execute("SET LOCAL ROLE app_owner")
    _one_primary_each()
    run(STATEMENTS)
    run(isolated(*CREATED, by=("tenant",)))
    run(policy("system", table) for table in SYSTEM)
    run(granted(GRANTS))
    with as_system():
        op.execute(SEARCH.format(table="clients", words=_quoted(CLIENT_WORDS)))
        op.execute(SEARCH.format(table="contacts", words=_quoted(CONTACT_WORDS)))
        op.execute(RELEASE)
        for function in FUNCTIONS:
            op.execute(f"REVOKE ALL ON FUNCTION app.{function} FROM PUBLIC")
        # Who makes the triggers below.
        op.execute("GRANT EXECUTE ON FUNCTION app.release_clients() TO app_owner")
        for function in FUNCTIONS[:2]:
            op.execute(f"GRANT EXECUTE ON FUNCTION app.{function} TO app_api")
    op.execute(
        "CREATE TRIGGER release_clients AFTER DELETE ON user_organizations "
        "FOR EACH ROW EXECUTE FUNCTION app.release_clients()"
    )
    op.execute(
        "CREATE TRIGGER release_clients_of_gone AFTER UPDATE OF status ON user_organizations FOR EACH ROW "
        "WHEN (NEW.status NOT IN ('active', 'pending', 'suspended')) EXECUTE FUNCTION app.release_clients()"
    )
    op.execute("RESET ROLE")


def _one_primary_each() -> None:
    """Where a client has several primary contacts, the one that changed last stays."""
    with seeing("contacts"):
        op.execute("ALTER TABLE contacts DISABLE TRIGGER touch")
        op.execute(
            "UPDATE contacts AS c SET is_primary = false WHERE is_primary AND client_id IS NOT NULL AND EXISTS ("
            "SELECT FROM contacts AS o WHERE o.organization_id = c.organization_id AND o.client_id = c.client_id "
            "AND o.is_primary AND (o.updated_at, o.id) > (c.updated_at, c.id))"
        )
        op.execute("ALTER TABLE contacts ENABLE TRIGGER touch")


def downgrade() -> None:
    op.execute("SET LOCAL ROLE app_owner")
    op.execute("DROP TRIGGER release_clients ON user_organizations")
    op.execute("DROP TRIGGER release_clients_of_gone ON user_organizations")
    op.execute("SET LOCAL ROLE app_system")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION app.{function}")
    op.execute("SET LOCAL ROLE app_owner")
    for table in ("clients", "contacts"):
        op.execute(f"DROP POLICY system ON {table}")
        op.execute(f"REVOKE ALL ON {table} FROM app_system")
    op.execute("REVOKE ALL ON events FROM app_api")
    run(f"DROP TABLE {table}" for table in reversed(CREATED))
    for index in (
        "ix_clients_words",
        "ix_contacts_words",
        "ix_clients_name_lower",
        "ix_clients_assigned_manager",
        "ix_contacts_email_lower",
        "uq_contacts_primary",
    ):
        op.execute(f"DROP INDEX {index}")
    op.execute("ALTER TABLE clients DROP COLUMN tags")
    op.execute("RESET ROLE")
    # One that was there before us belongs to somebody else, and stays.
    op.execute(
        """
        DO $$
        DECLARE
          ours name;
        BEGIN
          FOR ours IN SELECT extname FROM pg_extension WHERE extname IN ('pg_trgm', 'btree_gin')
            AND extowner = (SELECT oid FROM pg_roles WHERE rolname = session_user)
          LOOP
            EXECUTE format('DROP EXTENSION %I', ours);
          END LOOP;
        END $$
        """
    )

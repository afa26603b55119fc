"""audit: who changes a row is known to the database, and a trigger on every table worth it writes that down"""

from alembic import op

from migrations.ddl import as_owner, run

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

#: What each trigger is made with: organization or user, the column that names it, and the columns that are the key,
#: that may be quoted, that tell nothing, that are sealed. `db/auditing.py` has the reasons.
AUDITED = {
    "organizations": (
        "organization",
        "id",
        "{id}",
        "{slug,domain,timezone,country,company_size,settings,is_verified,verification_level,is_active,deleted_at}",
        "{updated_at}",
        "{tax_id}",
    ),
    "users": (
        "user",
        "id",
        "{id}",
        "{is_active,email_verified,email_verified_at,phone_verified,phone_verified_at,kyc_status,kyc_verified_at,role_id}",
        "{updated_at,default_organization_id}",
        "{national_id}",
    ),
    "user_mfa": (
        "user",
        "user_id",
        "{id}",
        "{mfa_enabled,mfa_enforced,enrolled_at}",
        "{updated_at,last_timecode,last_verified,pending_secret,pending_until}",
        "{totp_secret,pending_secret}",
    ),
    "trusted_devices": ("user", "user_id", "{id}", "{expires_at}", "{updated_at,last_used}", "{}"),
    "user_organizations": (
        "organization",
        "organization_id",
        "{id}",
        "{user_id,role_id,status,invited_by,joined_at,permissions_override}",
        "{updated_at,last_active_at}",
        "{}",
    ),
    "roles": ("organization", "organization_id", "{id}", "{name,permissions}", "{updated_at}", "{}"),
    "invitations": (
        "organization",
        "organization_id",
        "{id}",
        "{role_id,invited_by,mails,sent_at,expires_at,accepted_by,accepted_at,revoked_at}",
        "{updated_at}",
        "{}",
    ),
    "api_keys": (
        "organization",
        "organization_id",
        "{id}",
        "{user_id,key_id,scopes,expires_at,revoked_at,replaces}",
        "{updated_at,last_used_at}",
        "{}",
    ),
    "encryption_keys": (
        "organization",
        "organization_id",
        "{id}",
        "{status,master_key_id,retired_at}",
        "{updated_at}",
        "{}",
    ),
    "secrets": (
        "organization",
        "organization_id",
        "{id}",
        "{version,created_by,updated_by}",
        "{updated_at}",
        "{}",
    ),
    "trigger_secrets": (
        "organization",
        "organization_id",
        "{id}",
        "{trigger_id,kind,expires_at}",
        "{updated_at}",
        "{sealed}",
    ),
    "payment_gateway_configs": (
        "organization",
        "organization_id",
        "{id}",
        "{gateway,is_active,is_default,is_test_mode,created_by}",
        "{updated_at}",
        "{credentials}",
    ),
    "workflows": (
        "organization",
        "organization_id",
        "{id}",
        "{status,version,published_version_id,revision,visibility,is_template,template_id,process,created_by}",
        "{updated_at}",
        "{}",
    ),
    "workflow_versions": (
        "organization",
        "organization_id",
        "{id}",
        "{workflow_id,number,published_by}",
        "{updated_at}",
        "{}",
    ),
    "triggers": (
        "organization",
        "organization_id",
        "{id}",
        "{workflow_id,type,is_active}",
        "{updated_at}",
        "{}",
    ),
    "tasks": (
        "organization",
        "organization_id",
        "{id}",
        "{execution_id,kind,status,outcome,decided_by,decided_at,due_at}",
        "{updated_at}",
        "{}",
    ),
    "clients": (
        "organization",
        "organization_id",
        "{id}",
        "{client_type,status,assigned_manager,credit_limit,created_by}",
        "{updated_at}",
        "{tax_id,tax_id_index}",
    ),
    "contacts": (
        "organization",
        "organization_id",
        "{id}",
        "{client_id,is_primary,can_authorize,receives_communications,created_by}",
        "{updated_at}",
        "{}",
    ),
    "transfers": (
        "organization",
        "organization_id",
        "{id}",
        "{direction,kind,mode,match_by,dry_run,total,execution_id,created_by,completed_at}",
        "{updated_at}",
        "{}",
    ),
    "folders": ("organization", "organization_id", "{id}", "{parent_id,created_by}", "{updated_at}", "{}"),
    "documents": (
        "organization",
        "organization_id",
        "{id}",
        "{folder_id,client_id,file_size,visibility,version,parent_document_id,is_current_version,is_encrypted,signature_status,uploaded_by}",
        "{updated_at}",
        "{}",
    ),
    "document_permissions": (
        "organization",
        "organization_id",
        "{id}",
        "{document_id,user_id,client_id,role_id,permission_type,granted_by,expires_at}",
        "{updated_at}",
        "{}",
    ),
    "platform_subscriptions": (
        "organization",
        "organization_id",
        "{id}",
        "{plan_id,monthly_price,yearly_price,billing_cycle,status,trial_end,current_period_start,current_period_end,next_billing_date,cancelled_at}",
        "{updated_at,users_count,storage_used_gb,api_calls_count}",
        "{}",
    ),
    "organization_agents": (
        "organization",
        "organization_id",
        "{id}",
        "{agent_slug,is_enabled,installed_by}",
        "{updated_at,last_used_at}",
        "{}",
    ),
    "user_agent_access": (
        "organization",
        "organization_id",
        "{id}",
        "{user_id,agent_slug,is_granted,granted_by,expires_at}",
        "{updated_at}",
        "{}",
    ),
    "agent_sessions": (
        "organization",
        "organization_id",
        "{id}",
        "{agent_slug,user_id}",
        "{updated_at}",
        "{}",
    ),
}

#: Runs as whoever connected: it can only become a role that login was granted. Whoever calls it with three
#: arguments, as the release before did, acts as what that role usually is.
ENTER = """
CREATE FUNCTION app.enter(wanted text, organization uuid, member uuid, actor text DEFAULT NULL,
  origin text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
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
          pg_catalog.set_config('app.user_id', coalesce(member::text, ''), true),
          pg_catalog.set_config('app.actor', coalesce(actor, CASE wanted WHEN 'app_worker' THEN 'worker'
            WHEN 'app_api' THEN 'user' ELSE 'system' END), true),
          pg_catalog.set_config('app.origin', coalesce(origin, ''), true);
  IF member IS NOT NULL AND NOT app.may_enter(organization, member) THEN
    RAISE EXCEPTION 'no active membership' USING ERRCODE = 'PD403';
  END IF;
END $$
"""

#: As 0004 made it.
ENTER_BEFORE = """
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

#: The customer's name. It belongs to app_system, who may append to the log and not even read it.
AUDIT_TRIGGER = """
CREATE FUNCTION public.audit_trigger() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  before jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
  after jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
  this jsonb := coalesce(after, before);
  owner uuid := (this ->> TG_ARGV[1])::uuid;
  shown text[] := TG_ARGV[3];
  silent text[] := TG_ARGV[4];
  sealed text[] := TG_ARGV[5];
  concerned uuid[];
  actor text := current_setting('app.actor', true);
  acting uuid := nullif(current_setting('app.user_id', true), '')::uuid;
  origin jsonb := coalesce(nullif(current_setting('app.origin', true), ''), '{}')::jsonb;
  changed text[];
  about jsonb;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    SELECT array_agg(n.key ORDER BY n.key),
      jsonb_build_object('columns', jsonb_agg(n.key ORDER BY n.key),
        'old', coalesce(jsonb_object_agg(n.key, before -> n.key) FILTER (WHERE n.key = ANY (shown)), '{}'),
        'new', coalesce(jsonb_object_agg(n.key, n.value) FILTER (WHERE n.key = ANY (shown)), '{}'))
    INTO changed, about
    FROM jsonb_each(after) AS n
    WHERE n.value IS DISTINCT FROM before -> n.key AND n.key <> ALL (silent);
    -- Sealing anew changes no value; who does it says that he is the system, as nobody does by being nobody.
    IF changed IS NULL OR (changed <@ sealed AND actor = 'system') THEN
      RETURN NULL;
    END IF;
  ELSE
    SELECT jsonb_build_object(CASE TG_OP WHEN 'INSERT' THEN 'new' ELSE 'old' END,
      coalesce(jsonb_object_agg(c, this -> c), '{}'))
    INTO about FROM unnest(shown) AS c WHERE this ->> c IS NOT NULL;
  END IF;

  IF TG_ARGV[0] = 'user' THEN
    SELECT array_agg(m.organization_id) INTO concerned
    FROM public.user_organizations AS m WHERE m.user_id = owner AND m.status = 'active';
  ELSIF TG_OP = 'INSERT' THEN
    concerned := ARRAY[owner];
  ELSIF TG_TABLE_NAME = 'organizations' AND TG_OP = 'DELETE' THEN
    SELECT array_agg(o.id) INTO concerned
    FROM public.organizations AS o WHERE o.id = '00000000-0000-7000-8000-0000000000aa';
    about := '{}';  -- the platform keeps that one is gone, and no name it had: a slug is often somebody's
  ELSIF current_setting('app.erased', true) = owner::text THEN
    RETURN NULL;  -- its log goes with it
  ELSE
    -- What a removed organization takes with it has no log to stand in any more.
    SELECT array_agg(o.id) INTO concerned FROM public.organizations AS o WHERE o.id = owner;
  END IF;

  IF origin - 'ip' - 'agent' <> '{}' THEN
    about := about || jsonb_build_object('origin', origin - 'ip' - 'agent');
  END IF;
  INSERT INTO public.activity_logs (organization_id, created_at, actor_type, user_id, action, resource, resource_id,
    metadata, ip_address, user_agent)
  SELECT one, clock_timestamp(),
    CASE WHEN coalesce(actor, '') = '' OR (actor = 'user' AND acting IS NULL) THEN 'system' ELSE actor END, acting,
    lower(TG_OP), TG_TABLE_NAME, (SELECT string_agg(this ->> k.name, '/' ORDER BY k.place)
      FROM unnest(TG_ARGV[2]::text[]) WITH ORDINALITY AS k (name, place)), about, origin ->> 'ip', origin ->> 'agent'
  FROM unnest(concerned) AS one WHERE one IS NOT NULL;
  RETURN NULL;
END $$
"""

STATEMENTS = (
    "GRANT INSERT ON activity_logs TO app_system",
    "CREATE POLICY append ON activity_logs FOR INSERT TO app_system WITH CHECK (true)",
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_activity_logs_user_id_created_at ON activity_logs (organization_id, user_id, created_at)
    """,
)


def _trigger(table: str, arguments: tuple[str, ...]) -> str:
    listed = ", ".join(f"'{argument}'" for argument in arguments)
    return (
        f"CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION public.audit_trigger({listed})"
    )


def upgrade() -> None:
    op.execute("SET LOCAL ROLE app_owner")
    # In one transaction with its successor, which answers to three arguments too.
    op.execute("-- squawk-ignore ban-drop-function\nDROP FUNCTION app.enter(text, uuid, uuid)")
    op.execute(ENTER.replace(":", "\\:"))
    op.execute("GRANT EXECUTE ON FUNCTION app.enter TO PUBLIC")
    run(STATEMENTS)
    # app_system may create in the schema only while this function becomes its own.
    op.execute("RESET ROLE")
    op.execute("GRANT CREATE ON SCHEMA public TO app_system")
    op.execute("SET LOCAL ROLE app_system")
    op.execute(AUDIT_TRIGGER.replace(":", "\\:"))
    op.execute("REVOKE ALL ON FUNCTION public.audit_trigger FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION public.audit_trigger TO app_owner")  # who makes the triggers
    op.execute("RESET ROLE")
    op.execute("REVOKE CREATE ON SCHEMA public FROM app_system")
    op.execute("SET LOCAL ROLE app_owner")
    for table, arguments in AUDITED.items():
        op.execute(_trigger(table, arguments))
    op.execute("RESET ROLE")


@as_owner()
def downgrade() -> None:
    for table in AUDITED:
        op.execute(f"DROP TRIGGER audit ON {table}")
    op.execute("SET LOCAL ROLE app_system")
    op.execute("DROP FUNCTION public.audit_trigger")
    op.execute("SET LOCAL ROLE app_owner")
    op.execute("DROP INDEX ix_activity_logs_user_id_created_at")
    op.execute("DROP POLICY append ON activity_logs")
    op.execute("REVOKE INSERT ON activity_logs FROM app_system")
    op.execute("DROP FUNCTION app.enter(text, uuid, uuid, text, text)")
    op.execute(ENTER_BEFORE.replace(":", "\\:"))
    op.execute("GRANT EXECUTE ON FUNCTION app.enter TO PUBLIC")

"""human tasks: four eyes reach from an execution to those that it was started by, and to what these repeat"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

WORDS = "kind IN ('voted', 'decided')"
SIGNATURE = "app.barred_from_task(wanted uuid) RETURNS TABLE (user_id uuid, client_id uuid, step text) LANGUAGE sql STABLE"

#: Whoever repeats a parent starts its children anew, and these know nothing of what is repeated: so the way leads up
#: as well as back. Named steps are those of the execution itself and of what it repeats; a parent may call its own so.
INHERITED = f"""
  WITH RECURSIVE it AS (SELECT t.* FROM public.tasks AS t WHERE t.id = wanted),
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
"""  # noqa: S608 - constants only

#: As 0025 wrote it.
ITS_OWN = f"""
  WITH RECURSIVE it AS (SELECT t.* FROM public.tasks AS t WHERE t.id = wanted),
  chain AS (
    SELECT e.id, e.organization_id, e.started_by, e.execution_context ->> 'rerun_of' AS earlier
    FROM public.workflow_executions AS e, it
    WHERE e.organization_id = it.organization_id AND e.id = it.execution_id
    UNION
    SELECT e.id, e.organization_id, e.started_by, e.execution_context ->> 'rerun_of'
    FROM public.workflow_executions AS e
    JOIN chain AS c ON e.organization_id = c.organization_id AND e.id = CAST(c.earlier AS uuid)
  )
  SELECT c.started_by, CAST(NULL AS uuid), CAST(NULL AS text)
  FROM chain AS c, it WHERE it.four_eyes AND c.started_by IS NOT NULL
  UNION ALL
  SELECT w.user_id, w.client_id, t.step
  FROM it
  JOIN public.tasks AS t ON t.organization_id = it.organization_id AND t.step = ANY (it.four_eyes_steps)
    AND t.id <> it.id AND t.execution_id IN (SELECT c.id FROM chain AS c)
  JOIN public.task_events AS w ON w.organization_id = t.organization_id AND w.task_id = t.id AND w.{WORDS}
"""  # noqa: S608 - constants only


def upgrade() -> None:
    op.execute("SET LOCAL ROLE app_owner")
    op.execute(f"CREATE OR REPLACE FUNCTION {SIGNATURE} AS $${INHERITED}$$")
    op.execute("RESET ROLE")


def downgrade() -> None:
    op.execute("SET LOCAL ROLE app_owner")
    op.execute(f"CREATE OR REPLACE FUNCTION {SIGNATURE} AS $${ITS_OWN}$$")
    op.execute("RESET ROLE")

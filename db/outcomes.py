"""The end of an execution, written down in the statement that closes its row where somebody wants to hear of it.

It costs the close one look at two small partial indexes: active event triggers and open subscriptions of the
organization. The router makes a CloudEvent of it, which is sealed and so nothing for a statement.
"""

from typing import Final

#: What is wider than this is left out of the event; who needs it reads the execution.
_LARGEST: Final = 48 * 1024

#: For a statement that has a row `closed` of workflow_executions: a further part of its WITH.
OUTCOME: Final = f"""
    outcome AS (
        INSERT INTO execution_outcomes (organization_id, execution_id, type, told)
        SELECT c.organization_id, c.id, 'execution.' || c.status, jsonb_build_object(
            'workflow_id', c.workflow_id, 'version_id', c.workflow_version_id, 'status', c.status,
            'trigger', c.trigger_event, 'error', c.error, 'error_message', c.error_message,
            'parent_id', c.parent_id, 'started_at', c.started_at, 'completed_at', c.completed_at)
            || CASE WHEN pg_column_size(c.output) > {_LARGEST} THEN '{{"output_omitted": true}}'
                    ELSE jsonb_build_object('output', c.output) END
        FROM closed c
        WHERE c.kind = 'workflow' AND (EXISTS (
                SELECT 1 FROM triggers t
                WHERE t.organization_id = c.organization_id AND t.type = 'event' AND t.is_active
                  AND (t.event_types IS NULL OR 'execution.' || c.status = ANY (t.event_types)))
            OR EXISTS (
                SELECT 1 FROM event_subscriptions s
                WHERE s.organization_id = c.organization_id AND s.closed_at IS NULL AND s.execution_id <> c.id
                  AND (s.types IS NULL OR 'execution.' || c.status = ANY (s.types))))
    )
"""  # noqa: S608 - assembled from constants only

"""What this process has done to executions, counted; `/metrics` shows it."""

from typing import Final

from prometheus_client import Counter

STARTED: Final = Counter(
    "perdure_executions_started_total", "Executions this process has brought to Temporal.", ["trigger"]
)
FINISHED: Final = Counter(
    "perdure_executions_finished_total", "Executions whose end this process has seen committed.", ["status"]
)
DELIVERIES: Final = Counter(
    "perdure_outbox_deliveries_total",
    "What was carried from the outbox to Temporal: at once by the request, or by the relay.",
    ["kind", "by", "outcome"],
)
ROUTINGS: Final = Counter(
    "perdure_event_routings_total",
    "Events this process has held against triggers, by what became of them.",
    ["verdict"],
)

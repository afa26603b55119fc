"""Numbers about the mirror and its supervision, in the default registry that `/metrics` shows."""

from prometheus_client import Counter, Gauge

CALLS = Counter(
    "perdure_supervision_temporal_calls_total", "Calls that supervision made to Temporal.", ["call"]
)
MISMATCHES = Counter(
    "perdure_mirror_mismatches_total", "Differences between the mirror and Temporal, by kind.", ["found"]
)
STRANGERS = Gauge(
    "perdure_temporal_executions_without_row",
    "Executions running in Temporal that have no row, at the last sweep.",
)
STALLED = Gauge("perdure_executions_stalled", "Executions whose workflow tasks keep failing.")
SUPERVISED_AT = Gauge(
    "perdure_supervision_last_round_timestamp_seconds",
    "When a round or a sweep of supervision last came to its end.",
)

"""How far the mirror is behind: from what happened in a workflow to its commit in the row."""

import time

from prometheus_client import Histogram

from domain.mirror import Snapshot

LAG = Histogram(
    "perdure_mirror_lag_seconds",
    "From what happened in a workflow to its commit in the mirror.",
    ["report"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)


def committed(snapshot: Snapshot | None, report: str) -> None:
    """Called after the commit. Two clocks are compared, so what seems to come from the future counts as 0."""
    if snapshot is not None and snapshot.at:
        LAG.labels(report).observe(max(time.time() - snapshot.at / 1000, 0))

"""How long actions take, wherever they run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import Histogram

SECONDS: Final = Histogram(
    "perdure_action_seconds",
    "How long an action took, by its outcome.",
    ["action", "outcome"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)


@contextmanager
def measured(action: str) -> Iterator[None]:
    began, outcome = time.perf_counter(), "failed"
    try:
        yield
        outcome = "completed"
    finally:
        SECONDS.labels(action, outcome).observe(time.perf_counter() - began)

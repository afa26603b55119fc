"""How fast this machine is right now, so that limits on computing time mean the same on a busy or slow one."""

import gc
import time
from collections.abc import Iterator

import pytest

#: What `_work` takes on the quiet two-core machine on which the limits were set, in seconds.
REFERENCE = 0.007
#: The suite shares its cores with the servers it starts; a limit is broken by far or not at all.
SLACK = 2.0


def slowness() -> float:
    """What a limit is multiplied with: at least the slack, more where the same work takes longer than it should."""
    return SLACK * max(1.0, min(_work() for _ in range(3)) / REFERENCE)


@pytest.fixture(scope="module", autouse=True)
def small_heap() -> Iterator[None]:
    """What a thousand earlier tests left in memory is not collected again and again during the measured work."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def _work() -> float:
    began = time.thread_time()
    table: dict[int, str] = {}
    for number in range(60_000):
        table[number % 977] = str(number)
    return time.thread_time() - began

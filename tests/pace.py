"""How fast this machine is right now, so that limits on computing time mean the same on a busy or slow one."""

import time

#: What `_work` takes on the quiet two-core machine on which the limits were set, in seconds.
REFERENCE = 0.007


def slowness() -> float:
    """At least 1; 2 where the same work takes twice as long."""
    return max(1.0, min(_work() for _ in range(3)) / REFERENCE)


def _work() -> float:
    began = time.thread_time()
    table: dict[int, str] = {}
    for number in range(60_000):
        table[number % 977] = str(number)
    return time.thread_time() - began

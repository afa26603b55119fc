"""What a worker remembers for a while, so that it need not ask again."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Memory(Generic[T]):
    """Values by key, each for `seconds`; the least recently used give way beyond `capacity`."""

    def __init__(
        self, *, capacity: int = 1000, seconds: float = 300, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._capacity = capacity
        self._seconds = seconds
        self._clock = clock
        self._kept: OrderedDict[Hashable, tuple[T, float]] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        found = self._kept.get(key)
        if found is None or self._clock() >= found[1]:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, value: T) -> None:
        self._kept[key] = (value, self._clock() + self._seconds)
        self._kept.move_to_end(key)
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)

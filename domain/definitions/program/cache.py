"""Loaded programs, shared by everything in a process that interprets them."""

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any, Final

from .loading import load_program
from .parts import Program


class Programs:
    """Programs by the hash of their compiled form; bounded, so that many tenants cannot fill the memory."""

    def __init__(self, capacity: int = 512) -> None:
        self._capacity = capacity
        self._lock = Lock()
        self._loaded: OrderedDict[str, Program] = OrderedDict()

    def get(self, sha256: str) -> Program | None:
        with self._lock:
            program = self._loaded.get(sha256)
            if program is not None:
                self._loaded.move_to_end(sha256)
            return program

    def load(self, sha256: str, compiled: Mapping[str, Any]) -> Program:
        program = self.get(sha256)
        if program is None:
            program = load_program(compiled)
            with self._lock:
                self._loaded[sha256] = program
                while len(self._loaded) > self._capacity:
                    self._loaded.popitem(last=False)
        return program


#: One cache per process: a version is compiled once for the API, the workflows and the activities together.
PROGRAMS: Final = Programs()

"""What was done to the system and when: printed while it happens, and quoted beside a broken invariant."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Blow:
    """One fault. `cleared` is when its cause was gone again; `served` when a fresh execution had completed."""

    kind: str
    what: str
    began: float
    cleared: float | None = None
    served: float | None = None
    #: Where in the product's work a kill fell, if it fell exactly there: "before effect", say.
    failpoint: str | None = None

    @property
    def recovery(self) -> float | None:
        """Seconds from the end of the cause until the platform served a fresh execution from end to end."""
        if self.served is None or self.cleared is None:
            return None
        return self.served - self.cleared


@dataclass
class Timeline:
    """Seconds since the start; `loud` prints every entry."""

    loud: bool = False
    entries: list[tuple[float, str]] = field(default_factory=list)
    blows: list[Blow] = field(default_factory=list)
    #: A time of day and the reading of the clock at that moment.
    started: tuple[float, float] = field(default_factory=lambda: (time.time(), time.monotonic()))

    def now(self) -> float:
        return time.monotonic() - self.started[1]

    def say(self, text: str) -> None:
        self.entries.append((self.now(), text))
        if self.loud:
            print(self._line(self.entries[-1]), flush=True)

    def strike(self, kind: str, what: str) -> Blow:
        """Note that a fault begins."""
        blow = Blow(kind, what, self.now())
        self.blows.append(blow)
        self.say(f"* {kind}: {what}")
        return blow

    def between(self, begin: float, end: float) -> list[str]:
        """The entries between two times of day, with a few seconds before and after."""
        shift = self.started[0]
        return [self._line(entry) for entry in self.entries if begin - 5 <= entry[0] + shift <= end + 5]

    def _line(self, entry: tuple[float, str]) -> str:
        moment = time.strftime("%H:%M:%S", time.gmtime(self.started[0] + entry[0]))
        return f"{moment} {entry[0]:7.2f} s  {entry[1]}"

"""Numbers over the rounds: medians with their spread, and ratios taken round by round."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any

from benchmarks.plan import Measurement, Peer
from benchmarks.run import Reading


@dataclass(frozen=True, slots=True)
class Spread:
    """A median over rounds with what lay around it."""

    median: float
    low: float
    high: float
    quartile_1: float
    quartile_3: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        first, _, third = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
        return cls(median(values), min(values), max(values), first, third)

    def as_json(self) -> dict[str, float]:
        return {name: round(value, 3) for name, value in asdict(self).items()}


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    ranked = sorted(values)
    return ranked[max(0, -int(-share * len(ranked) // 1) - 1)]


class Summary:
    """Everything measured of every peer, by peer and measurement."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._readings = readings

    def _of(self, peer: Peer, steps: int, concurrency: int) -> dict[int, Reading]:
        return {
            reading.round: reading
            for reading in self._readings
            if reading.peer == peer.name
            and (reading.measurement.steps, reading.measurement.concurrency) == (steps, concurrency)
        }

    def measurements(self, peer: Peer) -> list[Measurement]:
        return list(dict.fromkeys(r.measurement for r in self._readings if r.peer == peer.name))

    def p50(self, peer: Peer, steps: int, concurrency: int) -> Spread:
        return Spread.of([median(r.latencies_ms) for r in self._of(peer, steps, concurrency).values()])

    def p95(self, peer: Peer, steps: int, concurrency: int) -> Spread:
        return Spread.of(
            [percentile(r.latencies_ms, 0.95) for r in self._of(peer, steps, concurrency).values()]
        )

    def throughput(self, peer: Peer, steps: int, concurrency: int) -> Spread:
        return Spread.of([r.per_second for r in self._of(peer, steps, concurrency).values()])

    def processor_ms(self, peer: Peer, steps: int, concurrency: int) -> dict[str, float]:
        """Processor time per execution by kind of program, medians; programs that cost nothing are left out."""
        readings = list(self._of(peer, steps, concurrency).values())
        kinds = dict.fromkeys(kind for reading in readings for kind in reading.processor_ms)
        shares = {kind: median(r.processor_ms.get(kind, 0.0) for r in readings) for kind in kinds}
        return {kind: round(value, 1) for kind, value in shares.items() if value >= 0.05}

    def p50_ratio(self, ours: Peer, theirs: Peer, steps: int, concurrency: int) -> Spread | None:
        """How many times their median latency ours is, within each round; None when one was not measured."""
        mine, other = self._of(ours, steps, concurrency), self._of(theirs, steps, concurrency)
        ratios = [median(mine[n].latencies_ms) / median(other[n].latencies_ms) for n in mine if n in other]
        return Spread.of(ratios) if ratios else None

    def throughput_ratio(self, ours: Peer, theirs: Peer, steps: int, concurrency: int) -> Spread | None:
        """How many times their throughput ours is, within each round; None when one was not measured."""
        mine, other = self._of(ours, steps, concurrency), self._of(theirs, steps, concurrency)
        ratios = [mine[n].per_second / other[n].per_second for n in mine if n in other]
        return Spread.of(ratios) if ratios else None

    def as_json(self, peers: Sequence[Peer]) -> list[dict[str, Any]]:
        rows = []
        for peer in peers:
            for m in self.measurements(peer):
                at = (peer, m.steps, m.concurrency)
                rows.append(
                    {
                        "peer": peer.name,
                        "steps": m.steps,
                        "concurrency": m.concurrency,
                        "executions_per_round": m.count,
                        "p50_ms": self.p50(*at).as_json(),
                        "p95_ms": self.p95(*at).as_json(),
                        "per_second": self.throughput(*at).as_json(),
                        "processor_ms_per_execution": self.processor_ms(*at),
                    }
                )
        return rows

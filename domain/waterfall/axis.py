"""The axis of time, in thousandths of its width.

A run of seconds of work with days of waiting between would show nothing but the days. So where waiting is most of the
time, long quiet stretches are drawn shorter, as gaps with a mark and their real length; all else keeps one scale.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

WIDTH: Final = 1000.0
#: Quiet stretches are shortened where all of them together are so many times longer than the rest,
_MOSTLY: Final = 5
#: and only those that are at least this part of the whole: twenty at most,
_LONG: Final = 20
#: and of so many seconds: nobody calls less of it long.
_LEAST: Final = 5.0
#: The shortened ones together are drawn so many times as long as the rest.
_SHARE: Final = 1.0
#: From the last moment to the end of the axis of what still runs, as a part of what has passed, so that bars can grow.
_ROOM: Final = 0.12
_LEAST_ROOM: Final = timedelta(seconds=2)
_TICKS: Final = 4
_STEPS_MS: Final = (
    *(base * 10**power for power in range(4) for base in (1, 2, 5)),
    *(1_000 * seconds for seconds in (10, 20, 30)),
    *(60_000 * minutes for minutes in (1, 2, 5, 10, 20, 30, 60, 120, 240, 480)),
    *(86_400_000 * days for days in (1, 2, 5, 10, 20, 50, 100, 200)),
)

Stretch = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Tick:
    """So long `after` the beginning, at `x`."""

    x: float
    after: timedelta


@dataclass(frozen=True, slots=True)
class Gap:
    """A quiet stretch drawn shorter than it was, and how long that is."""

    x: float
    width: float
    length: timedelta


@dataclass(frozen=True, slots=True)
class Axis:
    """`rate` is how many thousandths a bar that is open grows in a second; 0 where it ends in a gap or is over."""

    begins: datetime
    ends: datetime
    now: datetime
    ticks: tuple[Tick, ...]
    gaps: tuple[Gap, ...]
    rate: float
    _times: tuple[float, ...]
    _places: tuple[float, ...]

    def at(self, moment: datetime) -> float:
        """Where this moment is, within the axis."""
        seconds = min(max((moment - self.begins).total_seconds(), 0.0), self._times[-1])
        index = min(bisect_right(self._times, seconds), len(self._times) - 1)
        t0, t1 = self._times[index - 1], self._times[index]
        x0, x1 = self._places[index - 1], self._places[index]
        return x0 + (x1 - x0) * (seconds - t0) / (t1 - t0)


def axis_of(
    work: Iterable[tuple[datetime, datetime]], begins: datetime, now: datetime, *, grows: bool
) -> Axis:
    """`work` are the times at which a computer was busy; `grows` says that the execution is not over."""
    spent = max((now - begins).total_seconds(), 0.001)
    busy = _merged(((a - begins).total_seconds(), (b - begins).total_seconds()) for a, b in work)
    quiet = _between(busy, spent)
    short = _shortened(quiet, spent)
    # What waits right now grows only in its length: its bar already reaches the end.
    runs_on = grows and not (short and short[-1][1] >= spent)
    ends = spent + max(spent * _ROOM, _LEAST_ROOM.total_seconds()) if runs_on else spent
    rest = max(ends - sum(b - a for a, b in short), 0.001)
    each = rest * _SHARE / len(short) if short else 0.0
    scale = WIDTH / (rest + each * len(short))
    times, places, gaps = [0.0], [0.0], []
    for a, b in short:
        if a > times[-1]:
            places.append(places[-1] + (a - times[-1]) * scale)
            times.append(a)
        gaps.append(Gap(round(places[-1], 2), round(each * scale, 2), timedelta(seconds=b - a)))
        places.append(places[-1] + each * scale)
        times.append(b)
    if ends > times[-1]:
        times.append(ends)
        places.append(WIDTH)
    places[-1] = WIDTH
    return Axis(
        begins,
        begins + timedelta(seconds=ends),
        now,
        tuple(_ticks(ends)) if not gaps else (Tick(0.0, timedelta(0)),),
        tuple(gaps),
        round(scale, 6) if runs_on else 0.0,
        tuple(times),
        tuple(places),
    )


def _merged(stretches: Iterable[Stretch]) -> list[Stretch]:
    merged: list[Stretch] = []
    for a, b in sorted(stretches):
        if merged and a <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(b, merged[-1][1]))
        else:
            merged.append((a, max(a, b)))
    return merged


def _between(busy: Sequence[Stretch], spent: float) -> list[Stretch]:
    edges = [0.0, *(edge for stretch in busy for edge in stretch), spent]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [(a, min(b, spent)) for a, b in pairs if min(b, spent) > a]


def _shortened(quiet: Sequence[Stretch], spent: float) -> list[Stretch]:
    """None where everything is quiet: one scale then says all there is."""
    waited = sum(b - a for a, b in quiet)
    long = [(a, b) for a, b in quiet if b - a >= max(spent / _LONG, _LEAST)]
    if waited <= _MOSTLY * (spent - waited) or sum(b - a for a, b in long) >= spent:
        return []
    return long


def _ticks(seconds: float) -> Iterable[Tick]:
    step = next((each for each in _STEPS_MS if each * _TICKS >= seconds * 1000), _STEPS_MS[-1]) / 1000
    for number in range(int(seconds / step) + 1):
        x = number * step / seconds * WIDTH
        if x <= WIDTH * 0.97:
            yield Tick(round(x, 2), timedelta(seconds=number * step))

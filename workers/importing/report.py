"""What an import tells: for each table how many rows, and for each row that was not taken as it was, why."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Fate(StrEnum):
    #: The row is not here.
    REFUSED = "refused"
    #: The row is here, but a value of it is another one, or gone.
    CHANGED = "changed"
    #: About a table or an organization as a whole.
    NOTED = "noted"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing somebody has to know; never a value, which may be what must not be written down."""

    fate: Fate
    table: str
    id: str | None
    column: str | None
    reason: str
    mend: str


@dataclass(slots=True)
class Count:
    """Of one table: how many rows the source has, and what became of them."""

    source: int = 0
    imported: int = 0
    #: An earlier run had brought them.
    known: int = 0
    refused: int = 0

    @property
    def is_whole(self) -> bool:
        return self.source == self.imported + self.known + self.refused


@dataclass
class Report:
    """Grows while the import runs."""

    entries: list[Entry] = field(default_factory=list)
    counts: dict[str, Count] = field(default_factory=dict)

    def of(self, table: str) -> Count:
        return self.counts.setdefault(table, Count())

    def refuse(self, table: str, id: str, column: str | None, reason: str, mend: str) -> None:
        self.of(table).refused += 1
        self.entries.append(Entry(Fate.REFUSED, table, id, column, reason, mend))

    def change(self, table: str, id: str, column: str, reason: str, mend: str) -> None:
        self.entries.append(Entry(Fate.CHANGED, table, id, column, reason, mend))

    def note(self, table: str, reason: str, mend: str, id: str | None = None) -> None:
        self.entries.append(Entry(Fate.NOTED, table, id, None, reason, mend))

    def missing(self) -> list[str]:
        """Tables whose numbers do not add up; empty after every import that ended."""
        return [
            f"{table}: {count.source} rows, but {count.imported} imported, {count.known} known, "
            f"{count.refused} refused"
            for table, count in self.counts.items()
            if not count.is_whole
        ]

    def fates(self) -> Counter[Fate]:
        return Counter(entry.fate for entry in self.entries)

    def merge(self, other: "Report") -> None:
        """Takes over what happened in a transaction that was committed."""
        self.entries += other.entries
        for table, count in other.counts.items():
            mine = self.of(table)
            mine.source += count.source
            mine.imported += count.imported
            mine.known += count.known
            mine.refused += count.refused

    def as_json(self) -> dict[str, Any]:
        return {
            "tables": {table: asdict(count) for table, count in sorted(self.counts.items())},
            "entries": [asdict(entry) for entry in self.entries],
        }

    def write(self, path: Path) -> None:
        """One JSON document; readable by its owner alone, since ids may be telling."""
        path.touch(mode=0o600)
        path.write_text(json.dumps(self.as_json(), indent=1, default=str) + "\n")

    def told(self) -> Iterator[Entry]:
        """The refused ones first: those are what somebody has to act on."""
        for fate in Fate:
            yield from (entry for entry in self.entries if entry.fate is fate)

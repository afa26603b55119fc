"""Try what an upgrade will do on a restored copy of the database: there, back, and there again."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from alembic.script import ScriptDirectory

from workers.migrate import configuration, downgrade, upgrade


@dataclass(frozen=True, slots=True)
class Passage:
    """One revision gone through; `direction` is "upgrade", "downgrade" or "upgrade again"."""

    direction: str
    revision: str
    seconds: float


def rehearse(url: str, present: str | None, say: Callable[[str], None]) -> list[Passage]:
    """Move the copy from its `present` revision to the newest, back and to the newest again; blocks.

    Raises what the migration that failed raises; the copy stays where it failed.
    """
    scripts = ScriptDirectory.from_config(configuration(url))
    missing = [script.revision for script in scripts.iterate_revisions("head", present or "base")][::-1]
    before = [present or "base", *missing]
    passages: list[Passage] = []

    def go(direction: str, revision: str, work: Callable[[str, str], None], target: str) -> None:
        say(f"{direction} {revision}")
        began = time.monotonic()
        work(url, target)
        passages.append(Passage(direction, revision, time.monotonic() - began))

    for revision in missing:
        go("upgrade", revision, upgrade, revision)
    for position in range(len(missing), 0, -1):
        go("downgrade", missing[position - 1], downgrade, before[position - 1])
    for revision in missing:
        go("upgrade again", revision, upgrade, revision)
    return passages

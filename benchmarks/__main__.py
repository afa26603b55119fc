"""Perdure beside its peers, in one interleaved run: which targets of the design hold on this machine."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import machine, report
from benchmarks.plan import PEERS, SIZES
from benchmarks.process import PeerFailed
from benchmarks.run import Run
from benchmarks.targets import Verdict, judge

RESULTS = Path(__file__).parent / "results"
SEED = 20261122
COLOURS = {"PASS": "green", "FAIL": "red"}

err = Console(stderr=True, highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="perdure bench", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="full", help="how long: %(default)s by default")
    parser.add_argument("--seed", type=int, default=SEED, help="decides the order of the peers in each round")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the results are kept")
    parser.add_argument("--json", action="store_true", help="answer with one JSON document on stdout")
    parser.add_argument(
        "--peers", default="", help="only these, with commas: " + ", ".join(p.name for p in PEERS)
    )
    options = parser.parse_args(arguments)
    size = SIZES[options.size]
    if options.peers:
        size = replace(size, peers=tuple(p for p in PEERS if p.name in options.peers.split(",")))
    now = datetime.now(UTC)
    about = {"date": now.date().isoformat(), "commit": machine.commit(), **machine.facts()}
    began = time.monotonic()

    def say(text: str) -> None:
        err.print(f"{time.monotonic() - began:6.1f} s  {text}", markup=False, soft_wrap=True)

    try:
        results = asyncio.run(Run(size, options.seed, say)())
    except PeerFailed as problem:
        err.print(f"✗ {problem}", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130
    results.seconds = time.monotonic() - began
    verdicts = judge(results, machine.cores())
    stem = (
        options.out
        / f"{about['date']}-{about['commit']}{'' if options.size == 'full' else '-' + options.size}"
    )
    report.write(results, verdicts, about, stem)
    if options.json:
        sys.stdout.write(json.dumps(report.as_json(results, verdicts, about), indent=2) + "\n")
    else:
        _show(verdicts)
    say(f"kept in {stem}.md and {stem.name}.json")
    return 0


def _show(verdicts: Sequence[Verdict]) -> None:
    table = Table("", "target", "wanted", "found", "cause")
    for one in verdicts:
        colour = COLOURS.get(one.word, "yellow")
        table.add_row(
            f"[{colour}]{one.word}[/]", one.target, one.wanted, one.found.replace("[", "\\["), one.cause
        )
    Console(highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.faults [--seed N]`: the long form, its progress and its report."""

import argparse
import asyncio
import secrets
import sys
from pathlib import Path

from tests.faults.campaign import long, short
from tests.faults.conducting import conduct
from tests.faults.report import summary, write

PROJECT = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**8), help="repeats a run")
    parser.add_argument("--phases", type=int, default=4)
    parser.add_argument("--scale", type=float, default=1.0, help="a fraction of the blows and of the time")
    parser.add_argument("--short", action="store_true", help="the form of `make test`")
    parser.add_argument(
        "--folder",
        type=Path,
        help="where the stack lives and stays; default: a temporary one that stays if something breaks",
    )
    parser.add_argument("--results", type=Path, default=PROJECT / "benchmarks" / "results")
    options = parser.parse_args()
    plan = short(options.seed) if options.short else long(options.seed, options.phases, options.scale)
    print(f"seed {options.seed}; the same again: --seed {options.seed}", flush=True)
    outcome = asyncio.run(conduct(plan, options.folder))
    print(summary(outcome))
    if not options.short:
        print(f"report: {write(outcome, options.results)}")
    return 1 if outcome.broken or outcome.missing else 0


if __name__ == "__main__":
    sys.exit(main())

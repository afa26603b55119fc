"""`python -m tests.soak [--seed N] [--requests N]`: generated requests until there were enough."""

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.conftest import memory_folder
from tests.soak.application import Addresses, served
from tests.soak.campaign import PHASES, Outcome, Plan, conduct
from tests.soak.report import summary, wrong
from workers.devstack.databases import OWNER, RUNTIME, SUPERUSER
from workers.devstack.postgres import Postgres
from workers.migrate import upgrade

ENOUGH = 10_000
#: Drawn per operation in each round.
EXAMPLES = 8


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**8), help="repeats a run")
    parser.add_argument("--requests", type=int, default=ENOUGH, help="at least so many")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="drawn per operation and round")
    options = parser.parse_args()
    print(f"seed {options.seed}; the same again: --seed {options.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="perdure-", dir=memory_folder()))
    server = Postgres(folder, durable=False)
    loop = asyncio.new_event_loop()  # servers end with the thread that started them
    try:
        loop.run_until_complete(server.start())
        upgrade(server.url(OWNER))
        outcome = soak(server, options.seed, options.requests, options.examples)
    finally:
        loop.run_until_complete(server.stop())
        loop.close()
        shutil.rmtree(folder, ignore_errors=True)
    for line in summary(outcome):
        print(line)
    return 1 if wrong(outcome) else 0


def soak(server: Postgres, seed: int, requests: int, examples: int) -> Outcome:
    """Round after round on the same database: what enumerates the document is asked in the first one only.

    What keeps schemathesis itself from testing ends it: the next round would only meet it again.
    """
    everything, admin = Outcome(), server.url(SUPERUSER)
    with served(Addresses(server.url(RUNTIME), admin)) as app:
        number = 0
        while everything.requests < requests and not everything.errors:
            phases = PHASES if number == 0 else ("fuzzing", "stateful")
            plan = Plan(seed + number, examples, phases=phases)
            found = conduct(app, admin, plan, lambda text: print(text, flush=True))
            add(everything, found)
            number += 1
            print(
                f"round {number}: {everything.requests} requests, {len(everything.findings)} findings",
                flush=True,
            )
    return everything


def add(everything: Outcome, found: Outcome) -> None:
    everything.statuses += found.statuses
    for operation, statuses in found.by_operation.items():
        everything.by_operation.setdefault(operation, Counter()).update(statuses)
    everything.findings |= found.findings
    everything.errors += [each for each in found.errors if each not in everything.errors]
    everything.signed_up += found.signed_up


if __name__ == "__main__":
    sys.exit(main())

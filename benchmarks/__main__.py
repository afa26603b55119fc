"""`python -m benchmarks [--quick]`."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from benchmarks import plan
from benchmarks.run import Run


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--size", choices=plan.SIZES, default="full")
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--peers", default="")
    options = parser.parse_args(arguments)
    import dataclasses, statistics

    size = plan.SIZES[options.size]
    if options.peers:
        size = dataclasses.replace(
            size, peers=tuple(p for p in plan.PEERS if p.name in options.peers.split(","))
        )
    r = asyncio.run(Run(size, options.seed, lambda t: print(t, file=sys.stderr, flush=True))())
    for p in size.peers:
        for m in size.measurements(p):
            rs = [x for x in r.readings if x.peer == p.name and x.measurement == m]
            cpu = {
                k: round(statistics.median(x.processor_ms.get(k, 0) for x in rs), 1)
                for k in rs[0].processor_ms
            }
            print(
                f"{p.name:15} {m.name:22} p50 {statistics.median(statistics.median(x.latencies_ms) for x in rs):8.1f}  {statistics.median(x.per_second for x in rs):6.1f}/s  rounds {[round(x.per_second, 1) for x in rs]} cpu/exec ms {cpu}"
            )
    print(r.shapes)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`bench`: Perdure beside its peers on this machine. The peers and the run itself live in `benchmarks/`."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from perdure.cli.output import AsJson, explained
from workers.devstack.errors import StackError
from workers.devstack.programs import PROJECT

Quick = Annotated[bool, typer.Option("--quick", help="About two minutes instead of fifteen.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Decides the order of the peers in each round.")]
Out = Annotated[Path | None, typer.Option("--out", help="Where the results are kept.", file_okay=False)]


def bench(quick: Quick = False, seed: Seed = None, out: Out = None, as_json: AsJson = False) -> None:
    """Measure Perdure, DBOS and plain Temporal in one interleaved run; exit 0 when the run is whole."""
    with explained(as_json):
        if not (PROJECT / "benchmarks" / "__main__.py").exists() or importlib.util.find_spec("dbos") is None:
            raise StackError(
                "The benchmark and its peers are not part of the installed package.",
                "Run it in a checkout of the project with the packages of requirements.lock: `make bench`.",
            )
    words = [
        *(["--size", "quick"] if quick else []),
        *([] if seed is None else ["--seed", str(seed)]),
        *([] if out is None else ["--out", str(out.resolve())]),
        *(["--json"] if as_json else []),
    ]
    run = subprocess.run([sys.executable, "-m", "benchmarks", *words], cwd=PROJECT, check=False)  # noqa: S603
    raise typer.Exit(run.returncode)

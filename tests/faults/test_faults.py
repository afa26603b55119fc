"""The short form of `make faults`: a few of each blow, and every invariant afterwards."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.campaign import Campaign, Plan, shipped, short

SEED = int(os.environ.get("PERDURE_SEED", "20261122"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("form", [short, shipped])
async def test_everything_holds_under_fire(form: Callable[[int], Plan]) -> None:
    plan = form(SEED)
    with tempfile.TemporaryDirectory(prefix="perdure-faults-", ignore_cleanup_errors=True) as folder:
        outcome = await Campaign(plan, Path(folder), loud=True).run()
    assert not outcome.broken, "\n\n".join([f"seed {SEED}", *outcome.broken])
    assert outcome.counts >= Counter(plan.blows)

"""The short form of `make faults`: a few of each blow, and every invariant afterwards."""

import os
from collections import Counter
from collections.abc import Callable

import pytest

from tests.faults.campaign import Plan, shipped, short
from tests.faults.conducting import conduct

SEED = int(os.environ.get("PERDURE_SEED", "20261122"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("form", [short, shipped])
async def test_everything_holds_under_fire(form: Callable[[int], Plan]) -> None:
    plan = form(SEED)
    outcome = await conduct(plan)
    assert not outcome.broken, "\n\n".join([f"seed {SEED}", *outcome.broken])
    assert outcome.counts >= Counter(plan.blows)

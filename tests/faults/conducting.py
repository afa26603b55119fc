"""Where a campaign lives: a short folder of its own, which stays when there is something to look for in it."""

import shutil
import tempfile
from pathlib import Path

from tests.faults.campaign import Campaign, Outcome, Plan


async def conduct(plan: Plan, folder: Path | None = None) -> Outcome:
    """A folder that was given always stays; another one when something is broken or the campaign itself fails."""
    # Not below pytest's: the paths of unix sockets must stay short.
    lives = folder or Path(tempfile.mkdtemp(prefix="perdure-faults-"))
    is_whole = False
    try:
        outcome = await Campaign(plan, lives, loud=True).run()
        is_whole = not outcome.broken
    finally:
        if is_whole and folder is None:
            shutil.rmtree(lives, ignore_errors=True)
        else:
            print(f"stack and logs stay in {lives}", flush=True)
    return outcome

"""Records the histories that the current engine version lacks.

python -m tests.replay.record          only those that are not there yet
python -m tests.replay.record --anew   all of the current engine version: only before it has been released
"""

import os
import sys
from pathlib import Path

import pytest

from tests.replay.histories import write_manifest


def main() -> int:
    if "--anew" in sys.argv[1:]:
        os.environ["RECORD_ANEW"] = "1"
    status = pytest.main([str(Path(__file__).parent / "recording.py"), "-q", "--timeout", "120"])
    write_manifest()
    return int(status)


if __name__ == "__main__":
    sys.exit(main())

"""The long form of `test_loops`: 20 000 rounds, and what the thousandth costs beside the tenth.

python -m tests.workflows.loops
"""

import os
import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    os.environ |= {"LOOP_ROUNDS": "20000", "LOOP_CALLS": "1200"}
    sys.exit(pytest.main([str(Path(__file__).parent / "test_loops.py"), "-s", "--timeout", "1200"]))

"""What each keyword demands of its step. A check returns the names that its inner steps can read."""

from typing import Final

from .blocks import check_do, check_set
from .calling import check_call
from .emitting import check_emit
from .forking import check_fork
from .listening import check_listen
from .loops import check_for, written_out
from .raising import check_raise
from .running import check_run
from .step import Check, Step
from .switches import check_switch
from .trying import check_try
from .unsupported import check_unsupported
from .waits import check_wait

CHECKS: Final[dict[str, Check]] = {
    "call": check_call,
    "do": check_do,
    "emit": check_emit,
    "for": check_for,
    "fork": check_fork,
    "listen": check_listen,
    "raise": check_raise,
    "run": check_run,
    "set": check_set,
    "switch": check_switch,
    "try": check_try,
    "wait": check_wait,
}

__all__ = ["CHECKS", "Check", "Step", "check_call", "check_unsupported", "written_out"]

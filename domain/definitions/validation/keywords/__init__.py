"""What each keyword demands of its step. A check returns the names that its inner steps can read."""

from typing import Final

from .blocks import check_do, check_set
from .calling import check_call
from .listening import check_listen
from .loops import check_for, written_out
from .step import Check, Step
from .switches import check_switch
from .unsupported import check_unsupported
from .waits import check_wait

CHECKS: Final[dict[str, Check]] = {
    "call": check_call,
    "do": check_do,
    "for": check_for,
    "listen": check_listen,
    "set": check_set,
    "switch": check_switch,
    "wait": check_wait,
}

__all__ = ["CHECKS", "Check", "Step", "check_unsupported", "written_out"]

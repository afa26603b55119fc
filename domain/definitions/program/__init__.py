"""The compiled form of one version, ready to interpret."""

from .cache import PROGRAMS, Programs
from .loading import load_program
from .parts import (
    ENGINE,
    ROOT,
    Block,
    Call,
    Case,
    Do,
    Flow,
    For,
    Listen,
    PinnedAction,
    Program,
    Set,
    Shape,
    Step,
    Switch,
    Wait,
    Work,
)

__all__ = [
    "ENGINE",
    "PROGRAMS",
    "ROOT",
    "Block",
    "Call",
    "Case",
    "Do",
    "Flow",
    "For",
    "Listen",
    "PinnedAction",
    "Program",
    "Programs",
    "Set",
    "Shape",
    "Step",
    "Switch",
    "Wait",
    "Work",
    "load_program",
]

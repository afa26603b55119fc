"""The compiled form of one version, ready to interpret."""

from .branching import Catch, Fork, Raise, Retry, Try
from .cache import PROGRAMS, Programs
from .filters import Correlation, EventFilter, Foreach, Listen, Literally, Strategy
from .functions import Function
from .loading import load_program
from .parts import (
    COMPENSATE,
    ENGINE,
    ROOT,
    Block,
    Call,
    Case,
    Do,
    Extension,
    Flow,
    For,
    PinnedAction,
    Program,
    Role,
    Set,
    Step,
    Switch,
    Wait,
    Work,
)
from .shapes import Shape, Span

__all__ = [
    "COMPENSATE",
    "ENGINE",
    "PROGRAMS",
    "ROOT",
    "Block",
    "Call",
    "Case",
    "Catch",
    "Correlation",
    "Do",
    "EventFilter",
    "Extension",
    "Flow",
    "For",
    "Foreach",
    "Fork",
    "Function",
    "Listen",
    "Literally",
    "PinnedAction",
    "Program",
    "Programs",
    "Raise",
    "Retry",
    "Role",
    "Set",
    "Shape",
    "Span",
    "Step",
    "Strategy",
    "Switch",
    "Try",
    "Wait",
    "Work",
    "load_program",
]

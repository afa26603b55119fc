"""The steps of an execution as a waterfall: rows in a tree, bars on one axis of time, long loops folded."""

from .axis import Axis, Gap, Tick
from .bars import Bar, Shape, shape_of
from .rows import Fold, Row, Waterfall, waterfall
from .spans import brief
from .steps import Step

__all__ = [
    "Axis",
    "Bar",
    "Fold",
    "Gap",
    "Row",
    "Shape",
    "Step",
    "Tick",
    "Waterfall",
    "brief",
    "shape_of",
    "waterfall",
]

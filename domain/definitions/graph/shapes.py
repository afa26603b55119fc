"""The geometry that arranging and drawing share: boxes around an axis, and paths of straight and curved pieces."""

from dataclasses import dataclass
from typing import TypeAlias

#: ("M", x, y), ("L", x, y) or ("C", x1, y1, x2, y2, x, y), as in SVG.
Piece: TypeAlias = tuple[str | float, ...]
Path: TypeAlias = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Box:
    """How far something reaches from its axis, on which edges enter at the top and leave at the bottom."""

    left: float
    right: float
    height: float

    @property
    def width(self) -> float:
        return self.left + self.right

    @classmethod
    def around(cls, width: float, height: float) -> "Box":
        return cls(width / 2, width / 2, height)


def moved(path: Path, dx: float, dy: float) -> Path:
    return tuple(
        (piece[0], *(float(value) + (dy if index % 2 else dx) for index, value in enumerate(piece[1:])))
        for piece in path
    )


def down(x1: float, y1: float, x2: float, y2: float) -> Piece:
    """From one height to a lower one, leaving and arriving vertically."""
    if abs(x1 - x2) < 1:
        return ("L", x2, y2)
    bend = (y2 - y1) * 0.55
    return ("C", x1, y1 + bend, x2, y2 - bend, x2, y2)


def turn(x1: float, x2: float, y: float, depth: float) -> Piece:
    """Out and back at the same height; a negative depth turns above it."""
    return ("C", x1, y + depth, x2, y + depth, x2, y)


def text_of(path: Path) -> str:
    return " ".join(str(piece[0]) + " ".join(number(float(value)) for value in piece[1:]) for piece in path)


def number(value: float) -> str:
    return (
        f"{value:.1f}".removesuffix(".0").replace("-0", "0")
        if abs(value) < 0.05
        else f"{value:.1f}".removesuffix(".0")
    )

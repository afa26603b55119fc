"""How wide a text will be: no font is at hand, so characters are measured by their kind, rather too wide."""

import unicodedata
from typing import Final

_NARROW: Final = frozenset("ijl.,:;'|!`[]()/ ft-\"r")
_BROAD: Final = frozenset("mwMW@%&—…_")


def width(text: str, size: float, *, bold: bool = False) -> float:
    """In pixels, at this font size."""
    total = sum(_em(character) for character in text)
    return total * size * (1.14 if bold else 1.0)


def fitted(text: str, size: float, room: float, *, bold: bool = False) -> str:
    """The text, shortened with an ellipsis to what fits."""
    if width(text, size, bold=bold) <= room:
        return text
    room -= width("…", size, bold=bold)
    kept = ""
    for character in text:
        room -= width(character, size, bold=bold)
        if room < 0:
            break
        kept += character
    return kept.rstrip() + "…"


def _em(character: str) -> float:
    if character in _NARROW:
        return 0.37
    if character in _BROAD:
        return 0.95
    if character.isascii():
        return 0.7 if character.isupper() else 0.6
    if unicodedata.combining(character):
        return 0.0
    return 1.05 if unicodedata.east_asian_width(character) in "WFA" else 0.72

"""JSON as people read it: indented, its parts told apart, and cut where nobody would read on."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup, escape

#: As many characters are shown; the API has the whole.
MOST: Final = 40_000
#: What nobody sees, or what turns other text around, is written as JSON writes it in ASCII. Joiners belong to scripts.
_UNSEEN: Final = re.compile("[\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
#: More lines are folded until somebody asks for them.
FOLDED: Final = 18
_TOKENS: Final = re.compile(
    r'("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)'
)


@dataclass(frozen=True, slots=True)
class JsonView:
    """`text` is ready to stand in a `pre`."""

    text: Markup
    lines: int
    characters: int

    @property
    def is_long(self) -> bool:
        return self.lines > FOLDED

    @property
    def is_cut(self) -> bool:
        return self.characters > MOST

    @property
    def size(self) -> str:
        lines = "1 line" if self.lines == 1 else f"{self.lines} lines"
        return lines if self.characters < 10_000 else f"{lines}, {self.characters // 1000} KB"


def json_view(value: Any, most: int | None = MOST) -> JsonView:
    """Cut after so many characters; None where people answer for all of it."""
    whole = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    whole = _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", whole)
    return JsonView(_coloured(whole[:most]), whole.count("\n") + 1, len(whole))


def _coloured(text: str) -> Markup:
    out: list[str] = []
    at = 0
    for found in _TOKENS.finditer(text):
        out.append(str(escape(text[at : found.start()])))
        string, colon, word, number = found.groups()
        kind = "k" if string and colon else "s" if string else "n" if number else "w"
        shown = escape(string or word or number)
        out.append(f'<span class="{kind}">{shown}</span>{colon or ""}')
        at = found.end()
    out.append(str(escape(text[at:])))
    return Markup("".join(out))  # noqa: S704  # every piece was escaped

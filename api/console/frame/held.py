"""What somebody typed into a form outlives the session it was typed in: the page that asks to send it once more.

Nothing is stored: the fields stand in the page as they came, and are sent again by a click, with a fresh token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import Request

from api.console.frame.visits import is_ours

#: What is written into no page, by the names of our forms.
_NEVER: Final = frozenset({"password", "code", "value", "secret"})


@dataclass(frozen=True, slots=True)
class Held:
    """Where it is sent, every field of it, and those that somebody filled in: (name, text)."""

    address: str
    fields: Sequence[tuple[str, str]]

    @property
    def typed(self) -> list[tuple[str, str]]:
        """For eyes: the last word of a name, as "Title" of `data/title`."""
        named = ((name.rpartition("/")[2].replace("_", " ").capitalize(), text) for name, text in self.fields)
        return [(name, text) for name, text in named if text.strip()]


async def held(request: Request) -> Held | None:
    """None where there is nothing to keep: another site sent it, nothing was typed, or it must stand in no page."""
    if not is_ours(request):
        return None
    sent = (await request.form()).multi_items()
    fields = [(name, text) for name, text in sent if isinstance(text, str) and name != "csrf_token"]
    if not any(text.strip() for _, text in fields) or any(name in _NEVER for name, _ in fields):
        return None
    query = f"?{request.url.query}" if request.url.query else ""
    return Held(request.url.path + query, fields)

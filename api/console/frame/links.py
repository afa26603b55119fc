"""Addresses in what other people wrote become links, so that nobody has to copy them.

Only http and https, only to a host that can be read as it stands, always shown whole and as written: a link here leads
where its words say. It does not tell the other side where its reader came from.
"""

import re
from typing import Final
from urllib.parse import urlsplit

from markupsafe import Markup, escape

#: Longer ones stay text: nobody reads where they lead.
LONGEST: Final = 2_000
#: Without what ends or disguises an address: spaces, quotes, angles, backslashes, marks that turn the writing around.
_ADDRESS: Final = re.compile(
    r"\bhttps?://[^\s<>\"\\^`{|}\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff0-\uffff]+",
    re.IGNORECASE,
)
#: Letters of a domain name, or digits and colons of an IP address: no other script, no user's name before it.
_HOST: Final = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_CLOSING: Final = ".,;:!?'*_~)]»”\u2019…"
_OPENED: Final = {")": "(", "]": "["}


def linked(text: str) -> Markup:
    """The text, escaped, with its addresses as links."""
    out: list[str] = []
    at = 0
    for found in _ADDRESS.finditer(text):
        address = _trimmed(found[0])
        if not _can_be_followed(address):
            continue
        shown = escape(address)
        out.append(str(escape(text[at : found.start()])))
        # `dir` keeps what was written before it from turning it around.
        out.append(f'<a href="{shown}" dir="ltr" rel="noreferrer noopener nofollow">{shown}</a>')
        at = found.start() + len(address)
    out.append(str(escape(text[at:])))
    return Markup("".join(out))  # noqa: S704  # every piece was escaped


def _trimmed(address: str) -> str:
    """Without the sentence's marks behind it; a bracket stays that was opened inside."""
    if len(address) > LONGEST:
        return address
    while address[-1] in _CLOSING:
        opened = _OPENED.get(address[-1])
        if opened is not None and address.count(opened) >= address.count(address[-1]):
            break
        address = address[:-1]
    return address


def _can_be_followed(address: str) -> bool:
    if len(address) > LONGEST:
        return False
    try:
        return _HOST.fullmatch(urlsplit(address).netloc) is not None
    except ValueError:
        return False

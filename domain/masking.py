"""Secrets in what comes back from a call: an echo must not carry them into the execution's history."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

#: Shorter values occur by chance; whoever chooses such a secret has none.
SHORTEST: Final = 6
#: Of base64 only the characters that no neighbour influences can be known, and few of them are no proof.
_SHORTEST_BASE64: Final = 8
#: What one secret may add to the search besides itself, and what all texts made of secrets may.
_MOST_PARTS: Final = 32
_MOST_MADE: Final = 64
_MOST_CHARACTERS: Final = 65_536
_ESCAPE = re.compile(r"%[0-9A-F]{2}")


class Mask:
    """Replaces every exact occurrence of the given secrets by `[secret <name>]`.

    Found are the value itself, as it is and in all upper or lower case, and its usual spellings: in JSON and in JSON
    within JSON, in addresses, in hexadecimal and, wherever it stands, in base64. So are the parts of a secret that is
    an address (its path with the query, its password, and of the query and the end of the path what does not look
    like a word), `user:password` or JSON (every text in it), and the texts `made` of secrets, by the name of one of
    them. Nothing of fewer than 6 characters is looked for, and no more than 32 parts of a secret and 64 made texts.

    Not found is what a receiver makes of a secret by other means (reversed, cut, hashed, encrypted, compressed, in
    another encoding than UTF-8), and what it returns later, to a call that reads no secret.
    """

    def __init__(self, secrets: Mapping[str, str], made: Mapping[str, str] | None = None) -> None:
        known: dict[str, str] = dict(_bounded(made or {}))
        for name, value in secrets.items():
            known |= dict.fromkeys(_parts(value), name)
        # A secret as a whole bears its own name, whatever else it is a part of.
        known |= {value: name for name, value in secrets.items()}
        found = {
            spelling: f"[secret {name}]"
            for value, name in known.items()
            if len(value) >= SHORTEST and _is_utf8(value)
            for spelling in _spellings(value)
        }
        # The longest first: one secret may be a part of another.
        self._spellings = sorted(found.items(), key=lambda pair: -len(pair[0]))

    def text(self, text: str) -> str:
        return _replaced(text, self._spellings)

    def excerpt(self, text: str) -> str:
        """`text` for what was cut off somewhere, perhaps within a secret: its beginning at the end counts too."""
        text = self.text(text)
        whole = text.rstrip("….")
        cut, shown = max(
            ((_beginning(whole, spelling), shown) for spelling, shown in self._spellings), default=(0, "")
        )
        return whole[:-cut] + shown + text[len(whole) :] if cut else text

    def value(self, value: Any) -> Any:
        """A copy of a JSON value, the names of its members included."""
        # One search through everything: hardly any spelling is there, and only those are looked for in each text.
        everything = "\n".join(texts(value))
        return _masked(value, [pair for pair in self._spellings if pair[0] in everything])


def texts(value: Any) -> Iterator[str]:
    """Every text of a JSON value, names of members and numbers included."""
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            yield from each
            pending += each.values()
        elif isinstance(each, list):
            pending += each
        elif isinstance(each, int | float) and not isinstance(each, bool):
            yield str(each)


def _masked(value: Any, spellings: list[tuple[str, str]]) -> Any:
    if isinstance(value, str):
        return _replaced(value, spellings)
    if isinstance(value, list):
        return [_masked(item, spellings) for item in value]
    if isinstance(value, dict):
        return {_replaced(name, spellings): _masked(item, spellings) for name, item in value.items()}
    if isinstance(value, int | float) and not isinstance(value, bool):
        masked = _replaced(str(value), spellings)
        return value if masked == str(value) else masked
    return value


def _replaced(text: str, spellings: list[tuple[str, str]]) -> str:
    for spelling, shown in spellings:
        if spelling in text:
            text = text.replace(spelling, shown)
    return text


def _bounded(made: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """As many of the made texts as one may look for, the shortest last to be left out."""
    room = _MOST_CHARACTERS
    wanted = (
        pair for pair in sorted(made.items(), key=lambda pair: len(pair[0])) if len(pair[0]) >= SHORTEST
    )
    for (text, name), _ in zip(wanted, range(_MOST_MADE), strict=False):
        room -= len(text)
        if room < 0:
            return
        yield text, name


def _parts(value: str) -> list[str]:
    """What a secret consists of that is secret by itself."""
    found = {
        part for part in (_of_address(value) or _of_json(value) or _of_pair(value)) if len(part) >= SHORTEST
    }
    return sorted(found - {value}, key=lambda part: (-len(part), part))[:_MOST_PARTS]


def _of_address(value: str) -> list[str]:
    try:
        address = urlsplit(value)
    except ValueError:
        return []
    if not (address.scheme and address.netloc):
        return []
    pairs = parse_qsl(address.query[:_MOST_CHARACTERS])
    target = address.path + ("?" + address.query if address.query else "")
    password = address.netloc.rpartition("@")[0].partition(":")[2]
    end = address.path.rstrip("/").rpartition("/")[2]
    chosen = [part for part in (end, unquote(end), *(each for _, each in pairs)) if not _is_word(part)]
    return [target, password, unquote(password), *chosen]


def _of_json(value: str) -> list[str]:
    if not value.lstrip().startswith(("{", "[")):
        return []
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        return []
    return list(_leaves(content))


def _of_pair(value: str) -> list[str]:
    user, colon, password = value.partition(":")
    return [user, password] if colon and "\n" not in value and " " not in user else []


def _leaves(value: Any) -> Iterator[str]:
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict | list):
            pending += each.values() if isinstance(each, dict) else each


def _is_utf8(text: str) -> bool:
    """Half a surrogate pair, which JSON can escape, can be neither sent nor answered."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_word(text: str) -> bool:
    """Whether answers may well hold this without meaning the secret: `orders`, not `Tq7XbA`."""
    return len(text) < 16 and text.isalpha() and text in (text.lower(), text.upper(), text.capitalize())


def _spellings(value: str) -> set[str]:
    content = value.encode()
    spellings = {content.hex(), content.hex().upper()}
    for cased in {value, value.lower(), value.upper()}:
        escaped = {quote(cased), quote(cased, safe=""), quote_plus(cased)}
        spellings |= {cased, *_in_json(cased), *escaped}
        spellings |= {_ESCAPE.sub(lambda found: found[0].lower(), each) for each in escaped}
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + content).decode()
        whole = encoded[-(-before * 8 // 6) : (before + len(content)) * 8 // 6]
        if len(whole) >= _SHORTEST_BASE64:
            spellings |= {whole, whole.replace("+", "-").replace("/", "_")}
    return spellings


def _beginning(text: str, spelling: str) -> int:
    """How many characters at the end of a text are the beginning of a spelling; fewer than 6 are chance."""
    if spelling[:SHORTEST] not in text:
        return 0
    longest = min(len(spelling), len(text))
    return next((n for n in range(longest, SHORTEST - 1, -1) if text.endswith(spelling[:n])), 0)


def _in_json(value: str) -> set[str]:
    """As it stands in JSON, and in JSON that stands in a text of JSON: a text that echoes our own body is that."""

    def escaped(texts: set[str]) -> set[str]:
        return {json.dumps(text, ensure_ascii=ascii)[1:-1] for text in texts for ascii in (True, False)}

    once = escaped({value})
    return once | escaped(once)

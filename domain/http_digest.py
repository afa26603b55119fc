"""Digest access authentication (RFC 7616): from a server's challenge to the header that answers it."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

#: By preference. A session variant hashes the nonces into the first part.
_HASHES: Final = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
_PARAMETER = re.compile(r'[\s,]*([A-Za-z0-9_*-]{1,40})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9_-]*)(?:\s+(?=[^\s,=])|\s*(?:,|$))")
_MOST_PARAMETERS: Final = 20
_LONGEST: Final = 4096


@dataclass(frozen=True, slots=True)
class Challenge:
    realm: str
    nonce: str
    algorithm: str
    qop: str | None
    opaque: str | None
    userhash: bool
    stale: bool


def challenge(headers: Iterable[str]) -> Challenge | None:
    """The strongest Digest challenge of these `WWW-Authenticate` headers that we can answer; None without one."""
    understood = [
        found for header in headers for each in _digests(header[:_LONGEST]) if (found := _read(each))
    ]
    return min(understood, key=lambda found: list(_HASHES).index(_plain(found.algorithm)), default=None)


def answer(
    asked: Challenge,
    *,
    username: str,
    password: str,
    method: str,
    target: str,
    body: bytes,
    cnonce: str,
    count: int = 1,
) -> str:
    """The Authorization header. `target` is the path with its query, `count` the uses of this nonce so far."""

    def hashed(*parts: str) -> str:
        return hashlib.new(_HASHES[_plain(asked.algorithm)], ":".join(parts).encode()).hexdigest()

    first = hashed(username, asked.realm, password)
    is_session = asked.algorithm.upper().endswith("-SESS")
    if is_session:
        first = hashed(first, asked.nonce, cnonce)
    content = hashlib.new(_HASHES[_plain(asked.algorithm)], body).hexdigest()
    second = hashed(method, target, content) if asked.qop == "auth-int" else hashed(method, target)
    uses = f"{count:08x}"
    middle = (asked.nonce, uses, cnonce, asked.qop) if asked.qop else (asked.nonce,)
    shown, name = _user(hashed(username, asked.realm) if asked.userhash else username)
    fields = {
        name: shown,
        "realm": _quoted(asked.realm),
        "nonce": _quoted(asked.nonce),
        "uri": _quoted(target),
        "response": _quoted(hashed(first, *middle, second)),
        "algorithm": asked.algorithm,
    }
    if asked.qop:
        fields |= {"qop": asked.qop, "nc": uses, "cnonce": _quoted(cnonce)}
    elif is_session:
        fields["cnonce"] = _quoted(cnonce)
    if asked.opaque is not None:
        fields["opaque"] = _quoted(asked.opaque)
    if asked.userhash:
        fields["userhash"] = "true"
    return "Digest " + ", ".join(f"{name}={value}" for name, value in fields.items())


def _digests(header: str) -> Iterator[dict[str, str]]:
    """Parameters of each Digest challenge in a header that may hold challenges of several schemes."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', lambda quoted: '"' + "x" * (len(quoted[0]) - 2) + '"', header)
    starts = list(_SCHEME.finditer(bare))
    for number, found in enumerate(starts):
        if found[1].lower() == "digest":
            end = starts[number + 1].start() if number + 1 < len(starts) else len(header)
            yield _parameters(header[found.end() : end])


def _parameters(text: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    place = 0
    while len(parameters) < _MOST_PARAMETERS and (found := _PARAMETER.match(text, place)):
        quoted, token = found[2], found[3]
        parameters.setdefault(found[1].lower(), token if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        place = found.end()
    return parameters


def _read(parameters: Mapping[str, str]) -> Challenge | None:
    algorithm = parameters.get("algorithm") or "MD5"
    offered = [each.strip().lower() for each in parameters.get("qop", "").split(",") if each.strip()]
    qop = next((each for each in ("auth", "auth-int") if each in offered), None)
    if "nonce" not in parameters or _plain(algorithm) not in _HASHES or (offered and qop is None):
        return None
    return Challenge(
        realm=parameters.get("realm", ""),
        nonce=parameters["nonce"],
        algorithm=algorithm,
        qop=qop,
        opaque=parameters.get("opaque"),
        userhash=parameters.get("userhash", "").lower() == "true",
        stale=parameters.get("stale", "").lower() == "true",
    )


def _plain(algorithm: str) -> str:
    return algorithm.upper().removesuffix("-SESS")


def _user(username: str) -> tuple[str, str]:
    """How the name is written, and in which field: only `username*` can hold what is not ASCII."""
    if username.isascii():
        return _quoted(username), "username"
    encoded = "".join(
        chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02X}" for byte in username.encode()
    )
    return f"UTF-8''{encoded}", "username*"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

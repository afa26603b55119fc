"""What every scheme does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from domain.webhooks.received import Received


@dataclass(frozen=True, slots=True)
class Scheme:
    """`verify(request, secrets, now, tolerance)` raises Forged or Stale; seconds since 1970, and seconds.

    `sign(body, secret, event_id, now)` gives the headers a sender would add. `event_id` is the name the
    provider gave to the event, where the scheme says where it stands. `problem_with(secret)` is a sentence
    when a text cannot be a secret of this scheme. `carries` are headers that hold proof and go no further.
    """

    verify: Callable[[Received, Sequence[str], int, int], None]
    sign: Callable[[bytes, str, str, int], dict[str, str]]
    event_id: Callable[[Received], str | None]
    problem_with: Callable[[str], str | None]
    carries: frozenset[str] = frozenset()
    #: Whether a request without any secret can be right: only where the address itself is the secret.
    needs_secret: bool = True
    #: Whether the signature covers the body; otherwise whoever sees one request can send others.
    signs_body: bool = True


def no_event_id(_: Received) -> str | None:
    return None


def long_enough(secret: str) -> str | None:
    """At least 16 characters of visible ASCII, as providers make them."""
    if not 16 <= len(secret) <= 512 or not all(" " <= character <= "~" for character in secret):
        return "A signing secret has 16 to 512 visible ASCII characters."
    return None

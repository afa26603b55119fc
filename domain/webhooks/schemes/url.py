"""The address itself is the secret: whoever has seen it once, in a log perhaps, can start executions."""

from collections.abc import Sequence

from domain.webhooks.received import Received
from domain.webhooks.schemes.scheme import Scheme, no_event_id


def verify(_request: Received, _secrets: Sequence[str], _now: int, _tolerance: int) -> None:
    """The lookup of the address has proved what there is to prove."""


def sign(_body: bytes, _secret: str, _event_id: str, _now: int) -> dict[str, str]:
    return {}


def problem_with(_secret: str) -> str | None:
    return "This trigger has no secret beside its address; rotate the `url` instead."


SCHEME = Scheme(verify, sign, no_event_id, problem_with, needs_secret=False, signs_body=False)

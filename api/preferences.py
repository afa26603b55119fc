"""RFC 7240: how long a caller prefers to wait for a result before being told where to look for it."""

from domain.errors import Invalid, Problem

LONGEST = 30


def wait_of(prefer: str | None) -> int | None:
    """The seconds of `wait=N`, at most 30; None when none (or 0) are asked. Other preferences are ignored."""
    for preference in (prefer or "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            seconds = value.strip().strip('"')
            if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 9):
                raise Invalid(
                    problems=[Problem("header/prefer", "wait is no number of seconds.", "Send wait=10.")]
                )
            return min(int(seconds), LONGEST) or None
    return None

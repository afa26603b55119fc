"""Lost updates: a resource's revision as a strong ETag, demanded back in If-Match before it is changed."""

from typing import Annotated

from fastapi import Depends, Header

from domain.errors import Invalid, PreconditionRequired, Problem, Stale


def etag(revision: int) -> str:
    """The ETag of a revision, for the answer's header."""
    return f'"{revision}"'


async def expected_revision(
    if_match: Annotated[
        str | None, Header(description='The ETag you last read, for example "3".', max_length=200)
    ] = None,
) -> int:
    """Dependency of PATCH, PUT and DELETE routes: the revision the caller has seen (428 when none is sent).

    `*` is refused: it would say "overwrite whatever is there", which is what the header is to prevent.
    """
    if if_match is None:
        raise PreconditionRequired
    text = if_match.strip().removeprefix("W/")
    if len(text) > 2 and text[0] == text[-1] == '"' and text[1:-1].isascii() and text[1:-1].isdigit():
        digits = text[1:-1]
        if len(digits) > 18:
            raise Stale
        return int(digits)
    message = "If-Match does not hold one ETag of this resource."
    raise Invalid(
        problems=[Problem("header/if-match", message, 'Send the ETag header you last read, like "3".')]
    )


ExpectedRevision = Annotated[int, Depends(expected_revision)]


def check(expected: int, actual: int) -> None:
    """Raises `Stale` (412) when somebody was faster; for rows locked or updated `WHERE revision =`."""
    if expected != actual:
        raise Stale

"""Candidates: how a task names those who may decide it, and whether enough of them could."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from domain.email import Mailbox

_ROLE = re.compile(r"[A-Za-z][A-Za-z0-9 _-]{0,63}")


class CandidateKind(StrEnum):
    USER = "user"
    ROLE = "role"
    #: Answers through a link in a mail; signs in nowhere.
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Candidate:
    """`user:<e-mail address>`, `role:<name>` or `client:<id>`, in lower case."""

    kind: CandidateKind
    name: str

    @classmethod
    def parse(cls, text: str) -> "Candidate":
        """Raises ValueError saying what may be written."""
        kind, _, name = text.strip().partition(":")
        match kind.lower():
            case CandidateKind.USER:
                Mailbox.parse(name)
                return cls(CandidateKind.USER, name.lower())
            case CandidateKind.ROLE if _ROLE.fullmatch(name):
                return cls(CandidateKind.ROLE, name.lower())
            case CandidateKind.CLIENT:
                try:
                    return cls(CandidateKind.CLIENT, str(UUID(name)))
                except ValueError:
                    raise ValueError("a client is named by its id: client:<id>") from None
        raise ValueError("a candidate is user:<e-mail address>, role:<name> or client:<id>")

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.name}"


@dataclass(frozen=True, slots=True)
class Known:
    """What the organization knows of the candidates of a task that is about to be opened.

    `unknown` maps candidates that nobody stands behind to the reason; `people` are the ids of members who could
    decide by name or role, `clients` those of clients, `barred` those whom four eyes keep from it.
    """

    unknown: dict[str, str]
    people: Collection[UUID]
    clients: Collection[UUID]
    barred: Collection[UUID]
    #: A role is named, so that people may still come to it.
    is_open: bool


def impossible(candidates: Sequence[str], quorum: int, known: Known) -> str | None:
    """Why this task could never be decided, or None. Without candidates it is for everybody who may decide."""
    if not candidates:
        return None
    told = "; ".join(known.unknown.values())
    if len(known.unknown) == len(set(candidates)):
        return f"nobody could decide: {told}"
    able = len({*known.people, *known.clients} - {*known.barred})
    if known.is_open or able >= quorum:
        return None
    if known.barred:
        return (
            f"{quorum} different people have to decide, and four_eyes leaves {able} of the candidates; "
            "name somebody else or a role"
        )
    more = f" ({told})" if told else ""
    return f"{quorum} different people have to decide, but the candidates are only {able}{more}"

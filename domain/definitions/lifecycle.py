"""The closed sets of a stored definition: where it stands and who may see it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from domain.errors import Conflict


class DefinitionStatus(StrEnum):
    """draft → active ⇄ paused → archived."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    ARCHIVED = "archived"


class Visibility(StrEnum):
    """Who reads, edits and starts a definition, if their role lets them; the policy `visible` holds to it.

    Always among them: who created it, and who may read the audit log.
    """

    PRIVATE = "private"
    #: The users it is assigned to (`assigned_users`).
    TEAM = "team"
    ORGANIZATION = "organization"


class WrongStatus(Conflict):
    """The workflow cannot go from its present status to this one."""

    code = "wrong_status"


#: From which statuses each may be reached. Publishing alone leaves draft; nothing leaves archived.
_REACHED_FROM: Final[Mapping[DefinitionStatus, frozenset[DefinitionStatus]]] = {
    DefinitionStatus.ACTIVE: frozenset({DefinitionStatus.PAUSED}),
    DefinitionStatus.PAUSED: frozenset({DefinitionStatus.ACTIVE}),
    DefinitionStatus.ARCHIVED: frozenset(
        {DefinitionStatus.DRAFT, DefinitionStatus.ACTIVE, DefinitionStatus.PAUSED}
    ),
}


def require_move(status: str, to: DefinitionStatus) -> None:
    """Raises WrongStatus; staying where it is is always possible."""
    if status == to or status in _REACHED_FROM[to]:
        return
    mend = (
        "publish it first"
        if status == DefinitionStatus.DRAFT
        else "create a new workflow from its definition"
    )
    raise WrongStatus(f"This workflow is {status}, so it cannot become {to}; {mend}.")


def require_open(status: str) -> None:
    """Raises WrongStatus for an archived workflow: it is kept as it is."""
    if status == DefinitionStatus.ARCHIVED:
        raise WrongStatus(
            "This workflow is archived and kept as it is; create a new one from its definition."
        )


def published(status: str) -> DefinitionStatus:
    """The status after publishing: a paused workflow stays paused until somebody resumes it."""
    return DefinitionStatus.PAUSED if status == DefinitionStatus.PAUSED else DefinitionStatus.ACTIVE

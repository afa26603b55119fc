"""The closed sets of a stored definition: where it stands and who may see it."""

from enum import StrEnum


class DefinitionStatus(StrEnum):
    """draft → active ⇄ paused → archived."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    ARCHIVED = "archived"


class Visibility(StrEnum):
    PRIVATE = "private"
    TEAM = "team"
    ORGANIZATION = "organization"

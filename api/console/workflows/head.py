"""What every page about one workflow shows around its own part: name, state, what can be done, tabs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from fastapi import Request
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.console.frame.shell import Visit
from api.idempotency import Once
from db.definitions import Versions, Workflows
from domain.definitions.graph import Status, draw, lay_out, positioned, project
from domain.definitions.lifecycle import DefinitionStatus
from domain.errors import Invalid
from domain.permissions import Permission

#: What a redirect says was done, worded by the page it leads to.
NOTICES: Final[Mapping[str, str]] = {
    "created": "The workflow is created, as a draft. Look it over, then publish it.",
    "instantiated": "Your workflow is created from the template, as a draft. Look it over, then publish it.",
    "saved": "Saved.",
    "published": "Published: new executions run this version from now on.",
    "unchanged": "Nothing has changed since the current version, so it stays the current one.",
    "paused": "Paused: nothing new starts until it is resumed. Executions under way go on.",
    "resumed": "Resumed: it can be started again.",
    "secret": "The secret is set: requests that are signed with it are accepted now.",
    "archived": "Archived: it can be read, but neither changed nor started any more.",
}


_NAMES: Final = re.compile(
    r"<(title|desc)\b[^>]*>.*?</\1>| (?:aria-labelledby|aria-label|role)=\"[^\"]*\"", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class About:
    """One workflow as its pages head it; `current` is the number of the version that new executions run."""

    row: RowMapping
    current: int | None
    visitor: Visit

    @classmethod
    async def read(cls, tx: AsyncConnection, visitor: Visit, id: UUID) -> "About":
        """Raises NotFound."""
        row = await Workflows(tx).get(id)
        version = row["published_version_id"]
        current = None if version is None else (await Versions(tx).summary(version))["number"]
        return cls(row, current, visitor)

    @property
    def path(self) -> str:
        return f"/workflows/{self.row['id']}"

    @property
    def is_open(self) -> bool:
        return bool(self.row["status"] != DefinitionStatus.ARCHIVED)

    @property
    def may_edit(self) -> bool:
        return self.is_open and self.visitor.may(Permission.WORKFLOWS_WRITE)

    @property
    def may_publish(self) -> bool:
        return self.is_open and self.visitor.may(Permission.WORKFLOWS_PUBLISH)

    @property
    def may_start(self) -> bool:
        return self.row["status"] == DefinitionStatus.ACTIVE and self.visitor.may(Permission.EXECUTIONS_START)

    @property
    def tabs(self) -> list[tuple[str, str]]:
        found = [
            ("Overview", self.path),
            ("Definition", f"{self.path}/edit"),
            ("Dry run", f"{self.path}/test"),
        ]
        return [*found, ("Versions", f"{self.path}/versions")]


def plainly(visitor: Visit, key: str | None = None) -> Once:
    """How pages call what the API does: the form's own key, or none."""
    request: Request = visitor.request
    return Once(visitor.parts, request, key)


def drawing(
    definition: Any,
    title: str,
    layout: Any,
    statuses: Mapping[str, Status] | None = None,
    *,
    actions: Any = None,
    calls: Any = None,
) -> str:
    """The SVG without its colours, which the page brings; empty where there is nothing to draw."""
    try:
        laid = positioned(lay_out(project(definition, title, actions=actions, calls=calls), statuses), layout)
        return draw(laid, statuses, with_style=False)
    except Invalid:
        return ""


def unnamed(svg: str) -> str:
    """A drawing as one of several on a page, where it only decorates: it names nothing, and ids are there once."""
    return _NAMES.sub("", svg)

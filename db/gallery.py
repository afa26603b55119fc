"""Templates in the database: the organization's own, and the rows that stand for shipped ones.

A workflow names its template by reference. So a shipped template gets a row in an organization when it is first used
there, and again what a later release says; nobody lists or edits that row.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import RowMapping, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.definitions import Workflow, WorkflowFilters
from db.rows import Before, containing, many, newest_first, one
from domain.definitions.lifecycle import DefinitionStatus, Visibility

_COPIED = ("name", "description", "category", "definition", "layout", "triggers", "actions", "variables")
_TEMPLATE = tuple(Workflow.__table__.c[name] for name in ("id", *_COPIED, "created_at", "updated_at"))
_OWN = (
    Workflow.is_template,
    Workflow.process.is_(None),
    Workflow.gallery.is_(None),
    Workflow.status != DefinitionStatus.ARCHIVED,
)


class Gallery:
    """The templates of the organization the transaction belongs to."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def get(self, id: UUID) -> RowMapping:
        """What a copy takes over, of a template of the organization's own; raises NotFound."""
        return one(await self._tx.execute(select(*_TEMPLATE).where(Workflow.id == id, *_OWN)))

    async def page(
        self, filters: WorkflowFilters, *, before: Before | None, limit: int
    ) -> Sequence[RowMapping]:
        """The organization's own templates, newest first, after the row `before`."""
        statement = newest_first(
            select(*_TEMPLATE).where(*_OWN), Workflow.created_at, Workflow.id, before
        ).limit(limit)
        if filters.category is not None:
            statement = statement.where(Workflow.category == filters.category)
        if filters.q:
            statement = statement.where(containing(filters.q, Workflow.name, Workflow.description))
        return await many(self._tx, statement)

    async def shipped(self, slug: str, parts: Mapping[str, Any], organization_id: UUID) -> UUID:
        """The row that stands for a shipped template here, as this release has it; `parts` as a copy takes them."""
        says = {name: parts[name] for name in _COPIED}
        row = {
            **says,
            "id": uuid4(),
            "organization_id": organization_id,
            "gallery": slug,
            "is_template": True,
            "visibility": Visibility.ORGANIZATION,
        }
        await self._tx.execute(
            insert(Workflow)
            .values(row)
            .on_conflict_do_nothing(
                index_elements=["organization_id", "gallery"], index_where=text("gallery IS NOT NULL")
            )
        )
        statement = select(*_TEMPLATE).where(Workflow.gallery == slug).with_for_update()
        found = one(await self._tx.execute(statement))
        if any(found[name] != value for name, value in says.items()):
            await self._tx.execute(update(Workflow).where(Workflow.id == found["id"]).values(says))
        id: UUID = found["id"]
        return id

    async def slugs(self, ids: Collection[UUID]) -> dict[UUID, str]:
        """How the gallery calls the templates with these ids: by slug, or by the id of one's own."""
        rows = await many(
            self._tx, select(Workflow.id, Workflow.gallery).where(Workflow.id.in_(ids), Workflow.is_template)
        )
        return {row["id"]: row["gallery"] or str(row["id"]) for row in rows}

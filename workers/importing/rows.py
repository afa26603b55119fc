"""From a row of the source to a row of ours: columns by name, references by id, secrets sealed."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Column, ForeignKeyConstraint, LargeBinary, Table
from sqlalchemy.types import Uuid

from db.sealed import place, to_text
from db.tables import metadata
from workers.importing.ids import new_id
from workers.importing.scope import Scope
from workers.importing.source import Row
from workers.importing.target import Pending
from workers.importing.values import Unfit, as_json_text, closed_sets, converted

#: A rule changes the values of one row after they were converted, and may refuse it by raising Misfit.
Rule = Callable[[Scope, Row, dict[str, Any]], Awaitable[None]]


class Misfit(Exception):
    """The row cannot come in."""

    def __init__(self, column: str | None, reason: str, mend: str) -> None:
        super().__init__(reason)
        self.column, self.reason, self.mend = column, reason, mend


class Converter:
    """Of one table. `skipped` columns have no place here; `lenient` ones may be lost without losing the row."""

    def __init__(
        self,
        table: str,
        rule: Rule | None = None,
        *,
        skipped: frozenset[str] = frozenset(),
        lenient: frozenset[str] = frozenset(),
        rules_own: frozenset[str] = frozenset(),
    ) -> None:
        self.table: Table = metadata.tables[table]
        self._rule = rule
        #: Not converted here: dropped, or made by the rule.
        self._skipped = skipped | rules_own
        self._lenient = lenient
        self._sets = closed_sets(self.table)
        self._parents = _parents(table)

    async def pending(self, scope: Scope, row: Row) -> Pending:
        """Raises Misfit."""
        values: dict[str, Any] = {"id": new_id(self.table.name, str(row["id"]))}
        if "organization_id" in self.table.c:
            values["organization_id"] = scope.organization_id
        for column in self.table.columns:
            if column.name in row and column.name not in values and column.name not in self._skipped:
                values[column.name] = await self._value(scope, row, column)
        if self._rule is not None:
            await self._rule(scope, row, values)
        for name in [name for name, value in values.items() if value is None]:
            column = self.table.c[name]
            if not column.nullable:
                if column.server_default is None:
                    raise Misfit(name, f"{name} is empty", "Give it a value.")
                del values[name]  # the default of ours
        for column in self.table.columns:
            if not column.nullable and column.server_default is None and column.name not in values:
                raise Misfit(column.name, f"{column.name} is missing", "Give it a value.")
        await self._seal(scope, values)
        return Pending(str(row["id"]), dict(sorted(values.items())))

    async def _value(self, scope: Scope, row: Row, column: Column[Any]) -> Any:
        value, name = row[column.name], column.name
        try:
            if value is not None and isinstance(column.type, Uuid):
                return await scope.reference(self._parents[name], str(value))
            if column.info.get("sealed"):
                return value
            return converted(column, value, scope.zone, self._sets.get(name))
        except Unfit as unfit:
            if name not in self._lenient:
                raise Misfit(name, unfit.reason, unfit.mend) from None
            scope.report.change(
                self.table.name, str(row["id"]), name, f"{unfit.reason}; it is left out", unfit.mend
            )
            return None

    async def _seal(self, scope: Scope, values: dict[str, Any]) -> None:
        """Sealed values never travel in the clear, not to our own database either."""
        for name, value in list(values.items()):
            column = self.table.c[name]
            if value is None or not column.info.get("sealed"):
                continue
            text = value if isinstance(value, str) else as_json_text(value)
            where = place(self.table.name, name, values["id"])
            sealed = await scope.keys.seal(scope.organization_id, text.encode(), where)
            values[name] = sealed if isinstance(column.type, LargeBinary) else to_text(sealed)


@cache
def _parents(table: str) -> Mapping[str, str]:
    """Column of ids → the table they are of."""
    found: dict[str, str] = {}
    for constraint in metadata.tables[table].foreign_key_constraints:
        assert isinstance(constraint, ForeignKeyConstraint)
        for column, key in zip(constraint.columns, constraint.elements, strict=True):
            if column.name == "organization_id":
                continue
            if key.column.name == "id":
                found[column.name] = constraint.referred_table.name
            elif key.column.name == "user_id":  # of a membership: still the id of a person
                found[column.name] = "users"
    return found

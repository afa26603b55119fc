"""What activity logs tell, in one closed set of words.

A row that changed is told by the database itself: `insert`, `update` or `delete` of a table's row. What people do
beyond a row has a word of its own, `<noun>.<verb>`; whoever needs another one adds it here.
"""

from enum import StrEnum


class RowChange(StrEnum):
    """What `audit_trigger()` writes."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"

"""What an import of clients or contacts is asked for: closed sets, limits, and how a file's columns are read."""

from enum import StrEnum
from typing import Final

#: Of the uploaded file.
MAXIMUM_FILE: Final = 10 * 1024 * 1024
MAXIMUM_ROWS: Final = 100_000
MAXIMUM_COLUMNS: Final = 200
MAXIMUM_CELL: Final = 32_000
#: Rows that are written in one transaction.
ROWS_PER_PART: Final = 250


class TransferKind(StrEnum):
    CLIENTS = "clients"
    CONTACTS = "contacts"


class ImportMode(StrEnum):
    """`upsert` changes the row that matches; `create` never changes one."""

    CREATE = "create"
    UPSERT = "upsert"


class MatchBy(StrEnum):
    """What tells that a row of the file and a client are the same."""

    CLIENT_NUMBER = "client_number"
    EMAIL = "email"

"""Attempts counted for all processes together: guesses at passwords and codes, and mails people ask for.

A key has so many attempts free; each further one waits twice as long as the one before, up to a longest wait, and
time takes attempts away again. What has to wait is not counted, so nobody is kept out by somebody's hammering.
Keys are hashes: the table knows neither people nor addresses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Index, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base
from db.session import Database


class LoginAttempts(Base):
    """Also says from where somebody has signed in before: such a row has no failures."""

    __tablename__ = "login_attempts"
    __table_args__ = (Index(None, "expires_at"),)

    key: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[float]
    last_at: Mapped[datetime]
    blocked_until: Mapped[datetime | None]
    #: From then on the row says nothing any more.
    expires_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Counted:
    """One key and its measure, in seconds. `is_own` is emptied by a success, `for_known` holds up everybody."""

    key: str
    free: float
    first: float
    longest: float
    forget: float
    is_own: bool = False
    for_known: bool = True

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class Attempts:
    """Each call is one statement and one transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, wanted: Sequence[Counted], known: str | None, now: datetime) -> int:
        """Seconds to wait, or 0: then the attempt is counted under every key that applies."""
        row = await self._database.first(
            _COUNT, {"wanted": [each.as_json() for each in wanted], "known": known, "moment": now}
        )
        return 0 if row is None else int(row["waiting"])

    async def forgive(self, wanted: Sequence[Counted], known: str | None, remembered: datetime) -> None:
        """After a success; `known` is remembered until then."""
        values = {"wanted": [each.as_json() for each in wanted], "known": known, "moment": remembered}
        await self._database.first(_FORGIVE, values)


_COUNT = text("SELECT waiting FROM app.ask_attempt(:wanted, :known, :moment)").bindparams(
    bindparam("wanted", type_=JSONB)
)
_FORGIVE = text("SELECT app.ask_forgiveness(:wanted, :known, :moment)").bindparams(
    bindparam("wanted", type_=JSONB)
)

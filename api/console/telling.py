"""The sentences on top of an execution's page: what it waits for, why it failed, what happens next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.console.shell import Visit
from api.console.wording import moment


@dataclass(frozen=True, slots=True)
class Explanation:
    sentences: Sequence[str]


async def explained(visitor: Visit, tx: AsyncConnection, row: RowMapping, now: datetime) -> Explanation:
    told: list[str] = []
    waiting: Any = row["waiting_on"] or {}
    if row["error_message"]:
        told.append(row["error_message"])
    if row["status"] == "waiting" and waiting:
        until = ""
        if "until" in waiting:
            until = f" until {moment(datetime.fromisoformat(waiting['until']), visitor.zone)}"
        told.append(f"Waits for {waiting.get('title') or waiting.get('step', 'an event')}{until}.")
    return Explanation(told)

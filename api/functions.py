"""Fetches what a definition calls and does not hold itself, before it is published and outside of any transaction."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from domain.definitions.functions import (
    MAX_DEPTH,
    MAX_FUNCTIONS,
    Fetched,
    FunctionSource,
    FunctionUnavailable,
    addresses,
    nested,
    read,
)

AT_ONCE: Final = 4
SECONDS: Final = 20.0


async def gather(source: FunctionSource, organization_id: UUID, definition: Any) -> dict[str, Fetched]:
    """Every function by its address, those that only another one calls among them; never raises.

    What could not be had is there with its problem.
    """
    slots = asyncio.Semaphore(AT_ONCE)
    fetched: dict[str, Fetched] = {}

    async def one(address: str) -> None:
        async with slots:
            fetched[address] = await _fetch(source, organization_id, address)

    wanted = addresses(definition)
    try:
        async with asyncio.timeout(SECONDS):
            for _ in range(MAX_DEPTH + 1):
                new = [address for address in wanted if address not in fetched]
                for address in new[max(0, MAX_FUNCTIONS - len(fetched)) :]:
                    fetched[address] = Fetched(None, problem=_TOO_MANY)
                await asyncio.gather(*(one(address) for address in new if address not in fetched))
                wanted = [address for function in list(fetched.values()) for address in nested(function)]
    except TimeoutError:
        problem = f"it was not to be had within {SECONDS:g} seconds"
        for address in wanted:
            fetched.setdefault(address, Fetched(None, problem=problem))
    return fetched


_TOO_MANY: Final = f"a definition calls at most {MAX_FUNCTIONS} functions that are kept elsewhere"


async def _fetch(source: FunctionSource, organization_id: UUID, address: str) -> Fetched:
    try:
        content = await source.fetch(organization_id, address)
    except FunctionUnavailable as error:
        return Fetched(None, problem=str(error).rstrip("."))
    return await asyncio.to_thread(read, content)


def frozen(compiled: Mapping[str, Any]) -> list[dict[str, str]]:
    """What a version keeps of functions from elsewhere, for people: which text stands for them for good."""
    return [
        {"name": each["name"], "address": each["address"], "sha256": each["sha256"]}
        for each in (compiled.get("functions") or {}).values()
    ]

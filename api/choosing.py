"""Which form of a workflow is looked at: its draft, or one of its published versions."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ParamSpec, TypeVar
from uuid import UUID

from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncConnection

from db.definitions import Versions, Workflows

P = ParamSpec("P")
T = TypeVar("T")
#: Drawing or trying a large definition may keep a core busy for a second: more at once would delay everybody else.
_ONE_AT_A_TIME = ThreadPoolExecutor(max_workers=1, thread_name_prefix="definitions")

VersionNumber = Annotated[
    int | None, Query(ge=1, lt=2**31, description="Of a published version; the draft when absent.")
]


@dataclass(frozen=True, slots=True)
class Chosen:
    """`calls` are what a version's calls are pinned to; a draft's are not yet."""

    name: str
    definition: Any
    layout: Any
    triggers: Any
    actions: Any
    variables: Any
    compiled: Mapping[str, Any] | None = None

    @property
    def calls(self) -> Mapping[str, Any]:
        return {} if self.compiled is None else self.compiled.get("calls", {})

    @property
    def title(self) -> str:
        document = self.definition.get("document")
        title = document.get("title") if isinstance(document, dict) else None
        return title if isinstance(title, str) and title.strip() else self.name


async def chosen(tx: AsyncConnection, id: UUID, number: int | None) -> Chosen:
    """The draft, or the version of this number. Raises NotFound."""
    row = await Workflows(tx).get(id)
    draft = Chosen(
        row["name"], row["definition"], row["layout"], row["triggers"], row["actions"], row["variables"]
    )
    if number is None:
        return draft
    version = await Versions(tx).get(id, number)
    # A version keeps neither triggers nor the names of actions: its calls say what they mean.
    variables = {name: {"default": value} for name, value in version["compiled"]["variables"].items()}
    return Chosen(
        row["name"], version["document"], row["layout"], row["triggers"], [], variables, version["compiled"]
    )


async def worked_out(function: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Runs what computes for a while, beside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(
        _ONE_AT_A_TIME, partial(function, *given, **named)
    )

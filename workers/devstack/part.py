"""What the supervisor knows of a part."""

from collections.abc import Mapping
from typing import Protocol

from workers.devstack.processes import Command


class Part(Protocol):
    """A server of the stack: how to start it, when it is ready, what to do then."""

    @property
    def name(self) -> str: ...

    @property
    def ready_seconds(self) -> float: ...

    @property
    def ports(self) -> Mapping[str, int]: ...

    async def prepare(self) -> Command:
        """Make the start possible (folders, leftovers of a crash); return the command."""
        ...

    async def ready(self) -> bool:
        """Tell whether the server does its work now."""
        ...

    async def settle(self) -> None:
        """Configure the server after each start; must be repeatable."""
        ...

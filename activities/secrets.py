"""The secrets of one call: fetched and opened for it alone, and masked in whatever comes back."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass

from db.sealed import place
from db.secrets import Secrets
from db.session import Access, Database
from domain.definitions.commands import CallAction
from domain.definitions.expressions import ExpressionError, FuelExhausted, Json, Meter
from domain.definitions.faults import Fault
from domain.definitions.interpreter import MAXIMUM_STEP_FUEL, step_too_costly
from domain.definitions.program import Program
from domain.definitions.withheld import completed, reading_call
from domain.keys import KeyRing, Unreadable
from domain.masking import Mask


@dataclass(frozen=True, slots=True)
class Arguments:
    """A call's complete arguments, and what hides the secrets in them."""

    values: Json
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class CallSecrets:
    """Reads the secrets of the organization that `access` names."""

    database: Database
    access: Access
    keys: KeyRing
    thread: Executor

    async def arguments(self, program: Program, command: CallAction) -> Arguments:
        """Raises Fault for a secret that is not set, or an expression that has no value."""
        call = reading_call(program, command)
        if call is None:
            return Arguments(command.arguments)
        secrets = await self._values(call.secrets)
        mask = Mask(secrets)
        loop = asyncio.get_running_loop()
        meter = Meter(MAXIMUM_STEP_FUEL)
        try:
            values = await loop.run_in_executor(self.thread, completed, call, command, secrets, meter)
        except FuelExhausted:
            raise step_too_costly() from None
        except ExpressionError:
            # jq's errors quote the first 26 bytes of what they stumbled over, and no mask knows a part of a secret.
            message = (
                "an expression that reads $secrets has no value; its error might quote the secret, "
                "so it is not told"
            )
            raise Fault("expression", 400, "Expression failed", message) from None
        return Arguments(values, mask)

    async def _values(self, names: Iterable[str]) -> dict[str, str]:
        organization = self.access.organization_id
        assert organization is not None
        wanted = sorted(names)
        async with self.database.transaction(self.access) as connection:
            sealed = await Secrets(connection).sealed(wanted)
        values = {}
        for name in wanted:
            if name not in sealed:
                message = f"secret '{name}' is not set; PUT /v1/secrets/{name}"
                raise Fault("configuration", 400, "Secret not set", message)
            id, content = sealed[name]
            try:
                opened = await self.keys.open(organization, content, place("secret_versions", "value", id))
            except Unreadable as problem:
                message = (
                    f"secret '{name}' cannot be read: {problem}; set it again with PUT /v1/secrets/{name}"
                )
                raise Fault("configuration", 500, "Secret unreadable", message) from None
            values[name] = opened.decode()
        return values

"""The secrets of one call: fetched and opened for it alone, and masked in whatever comes back."""

import asyncio
from collections.abc import Iterable, Mapping
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
from domain.masking import Mask, texts

#: So many texts that expressions made of secrets are looked at; those that hold the secret as it is need no look.
MOST_MADE = 256


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
        return Arguments(values, await loop.run_in_executor(self.thread, _mask, command, secrets, values))

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
                # What the language demands for a secret that is not there as well as for one that is denied.
                raise Fault("authorization", 403, "Secret not set", message)
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


def _mask(command: CallAction, secrets: Mapping[str, str], values: Json) -> Mask:
    """Knows the secrets, and every text of the arguments that expressions made of them."""
    withheld = command.withheld
    assert withheld is not None
    # What stands in the definition or in the data is in the history anyway.
    told = set(texts([command.arguments, withheld.value, withheld.scope]))
    made = sorted(set(texts(values)) - told, key=len)[:MOST_MADE]
    everything = "\n".join(told)
    return Mask(secrets, {text: _name(text, secrets) for text in made if text not in everything})


def _name(text: str, secrets: Mapping[str, str]) -> str:
    """The secret that a text was made of; when none stands in it as it is, any that may have been."""
    return next((name for name, value in secrets.items() if value in text), next(iter(secrets)))

"""One attempt at an action of its own: into the ledger, into the world, into the ledger again."""

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from temporalio.exceptions import ApplicationError

from activities.actions.context import ActionContext
from activities.actions.registry import Registry
from activities.faults import as_failure, as_fault, is_passing
from activities.secrets import Arguments, CallSecrets
from db.effects import Begun, Effects
from db.session import Access, Database
from domain.actions import Effect
from domain.definitions.commands import CallAction
from domain.definitions.expressions import ExpressionError, FuelExhausted, Json, Meter
from domain.definitions.faults import Fault
from domain.definitions.interpreter import MAXIMUM_STEP_FUEL, step_too_costly
from domain.definitions.program import Program
from domain.definitions.shaping import shape
from domain.definitions.values import canonical
from domain.errors import DomainError
from domain.executions import EffectStatus
from domain.keys import KeyRing
from domain.masking import Mask
from domain.segments import Performed

#: Attempts at reaching a peer before its silence becomes the step's failure.
TRANSPORT_ATTEMPTS = 4
RETRY_SECONDS = 0.5
#: For finding out what a call would do, before its own time begins.
LOOK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt counts once the ledger has it: those that found no database tried nothing outside."""

    database: Database
    access: Access
    registry: Registry
    thread: Executor
    program: Program
    keys: KeyRing
    command: CallAction
    context: ActionContext
    is_cancelled: Callable[[], bool]

    async def perform(self) -> Performed:
        """Raises ApplicationError with the fault's JSON as details: retryable while only the way was blocked."""
        try:
            secrets = CallSecrets(self.database, self.access, self.keys, self.thread)
            raw = await self._effect(await secrets.arguments(self.program, self.command))
            return await self._shaped(raw)
        except Fault as fault:
            raise as_failure(fault) from fault

    async def _effect(self, arguments: Arguments) -> Json:
        command, registry = self.command, self.registry
        try:
            effect = registry.effect(command.action, command.version, arguments.values)
        except Fault as fault:
            raise _masked(fault, arguments.mask) from None
        if effect is Effect.IRREVERSIBLE:
            effect = await self._found(effect, arguments)
        begun = await self._begin(effect)
        match begun.status:
            case EffectStatus.SUCCEEDED:
                return begun.result
            case EffectStatus.FAILED | EffectStatus.UNKNOWN:
                raise Fault.from_json(begun.error or {})
            case _ if effect is Effect.IRREVERSIBLE and begun.attempts > 1:
                raise await self._settle(_unknown(command.action), EffectStatus.UNKNOWN)
        return await self._carry_out(effect, arguments, begun.attempts)

    async def _found(self, effect: Effect, arguments: Arguments) -> Effect:
        """What the call does as far as can be read outside: what only reads there may be repeated."""
        command = self.command
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await self.registry.effect_found(
                    command.action, command.version, self.context, arguments.values
                )
        except (Fault, TimeoutError):  # the call itself will meet it, and tell it
            return effect

    async def _begin(self, effect: Effect) -> Begun:
        async with self.database.transaction(self.access) as connection:
            begun = await Effects(connection).begin(
                self.context.organization_id,
                self.context.effect_key,
                execution_id=self.context.execution_id,
                occurrence=self.command.occurrence,
                action=self.command.action,
                effect=effect,
                request_sha256=_digest(self.command),
            )
        if not begun.same_request:
            raise Fault(
                "runtime",
                500,
                "Effect key reused",
                f"'{self.command.occurrence}' already stands for a different call of this execution",
            )
        return begun

    async def _carry_out(self, effect: Effect, arguments: Arguments, number: int) -> Json:
        """`number` counts the attempts at the effect from 1, those of lost workers included."""
        command = self.command
        try:
            async with asyncio.timeout(command.timeout_ms / 1000):
                result = await self.registry.run(
                    command.action, command.version, self.context, arguments.values
                )
            if arguments.mask is not None:
                result = arguments.mask.value(result)
        except TimeoutError:
            seconds = command.timeout_ms // 1000
            fault = Fault("timeout", 408, "Action timed out", f"'{command.action}' took over {seconds} s")
            raise await self._settle(fault, _after_silence(effect)) from None
        except asyncio.CancelledError:
            if self.is_cancelled():  # and not merely interrupted by a worker that shuts down
                fault = Fault(
                    "runtime", 499, "Cancelled", f"'{command.action}' was cancelled while under way"
                )
                await asyncio.shield(self._settle(fault, _after_silence(effect)))
            raise
        except Exception as error:
            if is_passing(error) and not isinstance(error, Fault):
                raise
            fault = _masked(as_fault(_visible(error, arguments.mask), command.action), arguments.mask)
            # A fault must not become its own cause: Temporal would follow the circle until it fails. Nor may an
            # error travel along in whose own words a secret stands.
            cause = None if fault is error or arguments.mask is not None else error
            if fault.transient and effect is not Effect.IRREVERSIBLE and number < TRANSPORT_ATTEMPTS:
                raise ApplicationError(str(fault), fault.as_json(), type=fault.type) from cause
            await self._settle(fault, _after_silence(effect) if fault.transient else EffectStatus.FAILED)
            raise fault from cause
        await self._note(EffectStatus.SUCCEEDED, result=result)
        return result

    async def _settle(self, fault: Fault, status: EffectStatus) -> Fault:
        await self._note(status, error=fault.as_json())
        return fault

    async def _note(self, status: EffectStatus, **outcome: Any) -> None:
        """Write down what became of the effect; a database that is away must not turn it into an unknown one."""
        while True:
            try:
                async with self.database.transaction(self.access) as connection:
                    await Effects(connection).end(self.context.effect_key, status, **outcome)
                return
            except (SQLAlchemyError, OSError) as error:
                if not is_passing(error):
                    raise
                await asyncio.sleep(RETRY_SECONDS)

    async def _shaped(self, raw: Json) -> Performed:
        shaping = self.command.shaping
        if shaping is None:
            return Performed(output=raw)
        step = self.program.steps[shaping.step]
        loop = asyncio.get_running_loop()
        try:
            meter = Meter(MAXIMUM_STEP_FUEL)
            shaped = await loop.run_in_executor(self.thread, shape, step, raw, shaping.scope, meter)
        except FuelExhausted:
            raise step_too_costly() from None
        except ExpressionError as error:
            raise Fault("expression", 400, "Expression failed", error.message) from error
        return Performed(shaped=shaped.as_json())


def _digest(command: CallAction) -> str:
    """What the call is, as its definition and its data make it: secrets may change between two attempts."""
    withheld = command.withheld
    what = command.arguments if withheld is None else [command.arguments, withheld.value, withheld.scope]
    return hashlib.sha256(canonical(what)).hexdigest()


def _masked(fault: Fault, mask: Mask | None) -> Fault:
    if mask is None:
        return fault
    told = mask.value(fault.as_json()) | {"status": fault.status}
    if fault.detail is not None:
        told["detail"] = mask.excerpt(fault.detail)
    shown = Fault.from_json(told)
    shown.transient = fault.transient
    return shown


def _visible(error: Exception, mask: Mask | None) -> Exception:
    """The error as it may be logged: one that nobody foresaw may quote what it was given."""
    if mask is None or isinstance(error, Fault | DomainError):
        return error
    return RuntimeError(f"{type(error).__name__}: {mask.text(str(error))}").with_traceback(
        error.__traceback__
    )


def _after_silence(effect: Effect) -> EffectStatus:
    """Without an answer nobody knows whether the effect happened; only one that repeats safely may say it failed."""
    return EffectStatus.UNKNOWN if effect is Effect.IRREVERSIBLE else EffectStatus.FAILED


def _unknown(action: str) -> Fault:
    return Fault(
        "runtime",
        500,
        "Outcome unknown",
        f"the worker was lost while '{action}' was under way, and repeating it might do it twice; look the outcome"
        " up at the receiver, or declare the call idempotent if it honours Idempotency-Key",
    )

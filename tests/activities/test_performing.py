"""The ledger of effects: what a second attempt does depends on what repeating would do outside."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from temporalio.exceptions import ApplicationError

from activities.actions.context import ActionContext
from activities.actions.registry import Arguments, Registry, action
from activities.performing import TRANSPORT_ATTEMPTS, Attempt
from db.keys import DataKeys
from db.session import Access, Database, Role
from domain.actions import Effect, Lane
from domain.definitions.commands import CallAction
from domain.definitions.faults import Fault
from domain.ids import effect_key
from tests.factories import rows
from workers.secret_values import MasterKey

OCCURRENCE = "/do/0/send#1"


class Message(Arguments):
    text: str = "hello"


@dataclass
class Outside:
    """What reached the outside world, and how it answers."""

    keys: list[str] = field(default_factory=list)
    error: Exception | None = None
    hold: asyncio.Event | None = None
    #: What can be read outside about the call; None when that cannot be reached.
    found: Effect | None = Effect.IRREVERSIBLE

    def registry(self, effect: Effect) -> Registry:
        async def look(context: ActionContext, arguments: Message) -> Effect:
            if self.found is None:
                raise Fault("communication", 503, "Not there", transient=True)
            return self.found

        @action(
            "test.send",
            version="1.0.0",
            title="Send",
            effect=effect,
            lane=Lane.ACTIVITY,
            timeout=timedelta(seconds=5),
            effect_found=look,
        )
        async def send(context: ActionContext, arguments: Message) -> dict[str, Any]:
            self.keys.append(context.effect_key)
            if self.hold is not None:
                await self.hold.wait()
            if self.error is not None:
                raise self.error
            return {"sent": arguments.text}

        return Registry([send])


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.fixture
async def attempt(
    database_url: str, admin_url: str, make_context: Any, outside: Outside
) -> AsyncIterator[Attempt]:
    engine = create_async_engine(admin_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        acme = await rows.organization(connection)
        execution = await rows.execution(connection, acme["id"])
    await engine.dispose()
    context = replace(
        make_context(),
        organization_id=acme["id"],
        execution_id=execution["id"],
        occurrence=OCCURRENCE,
        effect_key=effect_key(execution["id"], OCCURRENCE),
    )
    command = CallAction(
        OCCURRENCE, "send", "test.send", "1.0.0", Lane.ACTIVITY, Effect.KEYED, 5000, {"text": "hello"}
    )
    database = Database(database_url, pool_size=2)
    with ThreadPoolExecutor(1) as thread:
        yield Attempt(
            database=database,
            access=Access(Role.WORKER, acme["id"]),
            registry=outside.registry(Effect.KEYED),
            thread=thread,
            program=None,  # type: ignore[arg-type]  # nothing is shaped here
            keys=DataKeys(database, [MasterKey("test", b"m" * 32)]),
            command=command,
            context=context,
            is_cancelled=lambda: False,
        )
    await database.close()


async def _ledger(attempt: Attempt) -> tuple[str, int]:
    async with attempt.database.transaction(attempt.access) as tx:
        row = (await tx.execute(text("SELECT status, attempts FROM effects"))).one()
    return row.status, row.attempts


async def _lose_the_worker(attempt: Attempt, outside: Outside) -> None:
    """The process dies while the action is under way: the ledger keeps what was written before."""
    outside.hold = asyncio.Event()
    dying = asyncio.create_task(attempt.perform())
    while not outside.keys:  # noqa: ASYNC110  nothing signals that the action has begun
        await asyncio.sleep(0.01)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    outside.hold = None


async def test_a_repeat_of_what_succeeded_answers_from_the_ledger(attempt: Attempt, outside: Outside) -> None:
    first = await attempt.perform()
    again = await attempt.perform()
    assert first.output == again.output == {"sent": "hello"}
    assert len(outside.keys) == 1
    assert await _ledger(attempt) == ("succeeded", 2)


@pytest.mark.parametrize(
    ("found", "is_repeated"), [(Effect.IDEMPOTENT, True), (Effect.IRREVERSIBLE, False), (None, False)]
)
async def test_what_is_found_to_only_read_is_repeated_after_a_lost_worker(
    found: Effect | None, is_repeated: bool, attempt: Attempt, outside: Outside
) -> None:
    attempt = replace(attempt, registry=outside.registry(Effect.IRREVERSIBLE))
    outside.found = found
    await _lose_the_worker(attempt, outside)
    if is_repeated:
        assert (await attempt.perform()).output == {"sent": "hello"}
    else:
        with pytest.raises(ApplicationError, match="Outcome unknown"):
            await attempt.perform()
    assert len(outside.keys) == (2 if is_repeated else 1)


async def test_a_keyed_effect_is_repeated_under_its_key_after_a_lost_worker(
    attempt: Attempt, outside: Outside
) -> None:
    await _lose_the_worker(attempt, outside)
    await attempt.perform()
    assert outside.keys == [attempt.context.effect_key] * 2
    assert await _ledger(attempt) == ("succeeded", 2)


async def test_an_irreversible_effect_is_not_repeated_and_stays_unknown(
    attempt: Attempt, outside: Outside
) -> None:
    attempt = replace(attempt, registry=outside.registry(Effect.IRREVERSIBLE))
    await _lose_the_worker(attempt, outside)
    for _ in range(2):
        with pytest.raises(ApplicationError, match="Outcome unknown") as failure:
            await attempt.perform()
        assert failure.value.non_retryable
    assert len(outside.keys) == 1
    assert await _ledger(attempt) == ("unknown", 3)


@pytest.mark.parametrize(("effect", "status"), [(Effect.KEYED, "failed"), (Effect.IRREVERSIBLE, "unknown")])
async def test_a_cancelled_effect_is_settled(
    attempt: Attempt, outside: Outside, effect: Effect, status: str
) -> None:
    attempt = replace(attempt, registry=outside.registry(effect), is_cancelled=lambda: True)
    await _lose_the_worker(attempt, outside)
    assert await _ledger(attempt) == (status, 1)


async def test_a_peer_that_cannot_be_reached_is_tried_again_and_then_given_up(
    attempt: Attempt, outside: Outside
) -> None:
    outside.error = Fault("communication", 502, "Host not reachable", transient=True)
    for _ in range(1, TRANSPORT_ATTEMPTS):
        with pytest.raises(ApplicationError) as failure:
            await attempt.perform()
        assert not failure.value.non_retryable
    with pytest.raises(ApplicationError) as last:
        await attempt.perform()
    assert last.value.non_retryable
    assert await _ledger(attempt) == ("failed", TRANSPORT_ATTEMPTS)


async def test_attempts_that_found_no_database_use_up_none_of_those_at_the_peer(
    attempt: Attempt, outside: Outside
) -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/nothing", pool_size=1)
    for _ in range(TRANSPORT_ATTEMPTS):
        with pytest.raises(OSError, match="Connect"):
            await replace(attempt, database=nowhere).perform()
    await nowhere.close()
    outside.error = Fault("communication", 502, "Host not reachable", transient=True)
    with pytest.raises(ApplicationError) as failure:
        await attempt.perform()
    assert not failure.value.non_retryable


async def test_silence_after_an_irreversible_call_is_not_tried_again(
    attempt: Attempt, outside: Outside
) -> None:
    attempt = replace(attempt, registry=outside.registry(Effect.IRREVERSIBLE))
    outside.error = Fault("communication", 502, "Connection failed", transient=True)
    with pytest.raises(ApplicationError) as failure:
        await attempt.perform()
    assert failure.value.non_retryable
    assert await _ledger(attempt) == ("unknown", 1)


async def test_a_key_stands_for_one_request(attempt: Attempt, outside: Outside) -> None:
    await attempt.perform()
    other = replace(attempt, command=replace(attempt.command, arguments={"text": "something else"}))
    with pytest.raises(ApplicationError, match="Effect key reused"):
        await other.perform()
    assert len(outside.keys) == 1


async def test_a_failed_effect_fails_again_without_being_repeated(attempt: Attempt, outside: Outside) -> None:
    outside.error = Fault("communication", 404, "Not Found")
    for _ in range(2):
        with pytest.raises(ApplicationError, match="Not Found"):
            await attempt.perform()
    assert len(outside.keys) == 1

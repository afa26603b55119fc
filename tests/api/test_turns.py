"""Taking turns: one organization's rush does not keep another's request waiting."""

import asyncio
from uuid import UUID, uuid4

from api.turns import AT_ONCE, Turns


async def test_beyond_its_turns_an_organization_waits_for_itself_and_nobody_else() -> None:
    turns, busy, quiet = Turns(), uuid4(), uuid4()
    inside, most, served = 0, 0, []
    go = asyncio.Event()

    async def start(number: int) -> None:
        nonlocal inside, most
        async with turns.of(busy):
            inside += 1
            most = max(most, inside)
            await go.wait()
            served.append(number)
            inside -= 1

    rush = [asyncio.create_task(start(number)) for number in range(10 * AT_ONCE)]
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        async with turns.of(quiet):
            assert inside == AT_ONCE
    go.set()
    await asyncio.gather(*rush)
    assert most == AT_ONCE
    assert served == sorted(served)
    assert turns.known == 0  # nothing is kept of organizations that are not there


async def test_who_stops_waiting_gives_its_place_up() -> None:
    turns, organization = Turns(1), uuid4()
    async with turns.of(organization):
        waiting = asyncio.create_task(_pass(turns, organization))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(1):
        await _pass(turns, organization)
    assert turns.known == 0


async def _pass(turns: Turns, organization: UUID) -> None:
    async with turns.of(organization):
        return


async def test_a_place_may_be_kept_after_the_answer() -> None:
    turns, organization, settled = Turns(1), uuid4(), asyncio.Event()

    async def settle() -> None:
        await settled.wait()

    async with turns.of(organization) as turn:
        turn.until(settle())
    following = asyncio.create_task(_pass(turns, organization))
    await asyncio.sleep(0.01)
    assert not following.done()
    settled.set()
    async with asyncio.timeout(1):
        await following
    assert turns.known == 0

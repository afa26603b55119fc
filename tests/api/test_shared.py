import asyncio

import pytest

from api.shared import SharedLookups


async def test_those_who_ask_while_one_runs_share_the_next_and_never_the_running_one() -> None:
    shared: SharedLookups[int] = SharedLookups()
    truth, begun, started, gate = 1, 0, asyncio.Event(), asyncio.Event()

    async def look() -> int:
        nonlocal begun
        begun += 1
        started.set()
        seen = truth
        await gate.wait()
        return seen

    first = asyncio.create_task(shared.get("key", look))
    await started.wait()
    truth = 2  # a revocation after the first lookup read the table
    later = [asyncio.create_task(shared.get("key", look)) for _ in range(20)]
    other = asyncio.create_task(shared.get("other", look))
    await asyncio.sleep(0)
    gate.set()
    assert await first == 1
    assert await asyncio.gather(*later) == [2] * 20
    assert await other == 2
    assert begun == 3
    assert not shared._next
    assert not shared._running


async def test_a_failure_reaches_everybody_and_is_not_kept() -> None:
    shared: SharedLookups[int] = SharedLookups()

    async def fail() -> int:
        raise OSError("away")

    async def work() -> int:
        return 7

    answers = await asyncio.gather(*(shared.get("key", fail) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(answer, OSError) for answer in answers)
    assert await shared.get("key", work) == 7


async def test_a_caller_who_leaves_does_not_end_it_for_the_others() -> None:
    shared: SharedLookups[int] = SharedLookups()

    async def slow() -> int:
        await asyncio.sleep(0.02)
        return 7

    impatient, patient = (asyncio.create_task(shared.get("key", slow)) for _ in range(2))
    await asyncio.sleep(0.005)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert await patient == 7

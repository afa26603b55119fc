"""Refresh tokens: one newest at any time, a lost answer asked for again, a copied token found out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.app import create_app
from api.collaborators import Collaborators
from api.tokens import REFRESH_GRACE, REFRESH_LIFETIME, SESSION_LIFETIME
from db.engine import create_engine
from db.identity import Session
from db.session import Database
from domain.actions import Catalogue
from tests.api.conftest import (
    PASSWORD,
    PROCESSES,
    SECURITY,
    Account,
    Clock,
    Recorder,
    World,
    keys_of,
)
from tests.api.racing import meeting


@pytest.fixture
async def behind(admin_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection that no policy restricts."""
    engine = create_engine(admin_url)
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")
    await engine.dispose()


async def refresh(world: World, token: str, agent: str = "laptop") -> httpx2.Response:
    return await world.http.post(
        "/v1/auth/refresh", json={"refresh_token": token}, headers={"User-Agent": agent}
    )


async def works(world: World, tokens: dict[str, Any]) -> bool:
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    return (await world.http.get("/v1/me", headers=bearer)).status_code == 200


async def test_a_lost_answer_is_asked_for_again_and_is_the_same(world: World, account: Account) -> None:
    lost = await refresh(world, account.refresh_token)
    world.clock.forward(seconds=8)
    again = await refresh(world, account.refresh_token)
    assert again.status_code == 200
    assert again.json()["refresh_token"] == lost.json()["refresh_token"]
    assert await works(world, again.json())
    onward = await refresh(world, again.json()["refresh_token"])
    assert onward.status_code == 200


@pytest.mark.parametrize("way", ["late", "elsewhere", "used"])
async def test_what_is_no_retry_of_the_same_client_ends_the_family(
    world: World, account: Account, way: str
) -> None:
    second = await refresh(world, account.refresh_token)
    newest = second.json()
    if way == "late":
        world.clock.forward(seconds=REFRESH_GRACE.total_seconds() + 1)
    if way == "used":
        newest = (await refresh(world, newest["refresh_token"])).json()
    agent = "a thief" if way == "elsewhere" else "laptop"
    assert (await refresh(world, account.refresh_token, agent)).status_code == 401
    assert not await works(world, newest)
    assert (await refresh(world, newest["refresh_token"])).status_code == 401


async def test_a_thief_within_the_grace_is_found_out_at_the_next_refresh(
    world: World, account: Account
) -> None:
    """Both hold the same newest token then; whoever uses it second ends the family."""
    mine = (await refresh(world, account.refresh_token)).json()
    stolen = (await refresh(world, account.refresh_token)).json()
    world.clock.forward(seconds=30)
    theirs = (await refresh(world, stolen["refresh_token"])).json()
    world.clock.forward(seconds=30)
    assert (await refresh(world, mine["refresh_token"])).status_code == 401
    assert not await works(world, theirs)


async def test_a_crowd_of_retries_makes_one_session(
    world: World, account: Account, behind: AsyncConnection, admin_url: str
) -> None:
    crowd = (refresh(world, account.refresh_token) for _ in range(4))
    answers = await meeting(admin_url, "SELECT FROM sessions FOR UPDATE", *crowd)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    mine = select(func.count()).select_from(Session).where(Session.user_id == UUID(account.user_id))
    assert await behind.scalar(mine) == 2


async def test_a_retry_races_with_the_use_of_the_new_token(world: World, admin_url: str) -> None:
    """Either the retry came first, or it ends the family: nobody is left with two newest tokens."""
    for _ in range(4):
        fresh = await world.account()
        new = (await refresh(world, fresh.refresh_token)).json()["refresh_token"]
        both = (refresh(world, fresh.refresh_token), refresh(world, new))
        retried, used = await meeting(admin_url, "SELECT FROM sessions FOR UPDATE", *both)
        outcome = (retried.status_code, used.status_code)
        assert outcome in {(200, 200), (401, 200), (401, 401)}
        if retried.status_code == 401 and used.status_code == 200:
            assert not await works(world, used.json())


async def test_a_login_ends_after_thirty_days_and_a_token_after_fourteen_unused(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    token = account.refresh_token
    for _ in range(2):
        world.clock.forward(days=13)
        answer = await refresh(world, token)
        assert answer.status_code == 200
        token = answer.json()["refresh_token"]
    ends = await behind.scalar(select(func.max(Session.expires_at)))
    begins = await behind.scalar(select(func.min(Session.last_seen_at)))
    assert ends is not None
    assert begins is not None
    assert ends <= begins + SESSION_LIFETIME
    world.clock.forward(days=5)
    assert (await refresh(world, token)).status_code == 401
    other = await world.account()
    world.clock.forward(seconds=REFRESH_LIFETIME.total_seconds() + 1)
    assert (await refresh(world, other.refresh_token)).status_code == 401


#: What may happen to a login: a client refreshes with the newest token or an older one, here or elsewhere, later.
STEPS = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=3),
        st.sampled_from(["laptop", "thief"]),
        st.sampled_from([0, 5, 11]),
    ),
    min_size=1,
    max_size=9,
)


class Model:
    """What must come of it: a chain of tokens, each with who made it and when."""

    def __init__(self, first: str) -> None:
        self.chain = [first]
        self.made: list[tuple[str, timedelta]] = [("", timedelta(0))]
        self.ended = False

    def expects(self, position: int, agent: str, now: timedelta) -> int | None:
        """The position of the token answered; None for a refusal."""
        last = len(self.chain) - 1
        if self.ended:
            return None
        if position == last:
            self.made.append((agent, now))
            return last + 1
        maker, at = self.made[position + 1]
        if position == last - 1 and maker == agent and now - at < REFRESH_GRACE:
            return last
        self.ended = True
        return None


def test_every_history_of_a_login_ends_as_the_model_says(database_url: str) -> None:
    """Hypothesis writes the histories; each is a login of one person on the same database."""
    asyncio.run(_in_a_world(database_url, _register))

    @settings(max_examples=40, deadline=None)
    @given(steps=STEPS)
    def follow(steps: list[Any]) -> None:
        asyncio.run(_in_a_world(database_url, lambda world: _follow(world, steps)))

    follow()


WHO = {"email": "mara@lind.example", "password": PASSWORD}


async def _in_a_world(database_url: str, story: Callable[[World], Awaitable[None]]) -> None:
    """An event loop, and so an application, for each example."""
    database, clock, dispatcher = Database(database_url, pool_size=2), Clock(), Recorder()
    parts = Collaborators(database, keys_of(database), Catalogue([]), dispatcher, SECURITY, clock, PROCESSES)
    app = create_app(parts)
    transport = httpx2.ASGITransport(app=app)
    try:
        async with httpx2.AsyncClient(transport=transport, base_url=SECURITY.public_url) as http:
            await story(World(app, http, database, clock, dispatcher))
    finally:
        app.state.sign_in.close()
        await database.close()


async def _register(world: World) -> None:
    body = {**WHO, "name": "Mara", "organization_name": "Lind"}
    assert (await world.http.post("/v1/auth/register", json=body)).status_code == 201


async def _follow(world: World, steps: list[Any]) -> None:
    newest = (await world.http.post("/v1/auth/login", json=WHO)).json()
    model = Model(newest["refresh_token"])
    for back, agent, seconds in steps:
        world.clock.forward(seconds=seconds)
        position = max(0, len(model.chain) - 1 - back)
        expected = model.expects(position, agent, world.clock.ahead)
        answer = await refresh(world, model.chain[position], agent)
        assert answer.status_code == (401 if expected is None else 200)
        if expected is not None:
            newest = answer.json()
            if expected == len(model.chain):
                assert newest["refresh_token"] not in model.chain
                model.chain.append(newest["refresh_token"])
            assert newest["refresh_token"] == model.chain[expected]
        assert await works(world, newest) is not model.ended

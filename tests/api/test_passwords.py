import asyncio
from time import perf_counter

import bcrypt
import pytest
from sqlalchemy import text

from api.common_passwords import LEAKED, is_common
from api.passwords import SHORTEST, Passwords, check
from db.engine import create_engine
from tests.api.conftest import World

PEPPER = b"a pepper of thirty-two bytes....."
passwords = Passwords(PEPPER, cost=4)


@pytest.mark.parametrize(
    "password",
    ["password", "Password1!", "P@ssw0rd123", "12345678", "qwertyuiop", "aaaaaaaa", "abcabcabc",
     "welcome2026",
     "20262026", "letmein!!", "11112222", "asdfghjkl", "87654321"],
)  # fmt: skip
def test_common_passwords_are_refused(password: str) -> None:
    assert is_common(password)
    assert check(password, email="a@b.example", pointer="#/password")


def test_the_three_thousand_most_leaked_that_are_long_enough_are_refused() -> None:
    """ASVS 6.2.4: at least the top 3000 that the other rules would let through."""
    assert len(set(LEAKED)) == len(LEAKED) >= 3000
    assert all(len(password) >= SHORTEST for password in LEAKED)
    for password in LEAKED:
        for typed in (password, password.upper(), f"{password}1!"):
            assert check(typed, email="a@b.example", pointer="#/password"), typed


@pytest.mark.parametrize(
    "password", ["tidal ferns at dusk", "x7Gq-rmW2-kk", "здесь был дом", "correct horse battery"]
)
def test_other_passwords_are_accepted(password: str) -> None:
    assert check(password, email="a@b.example", pointer="#/password") == []


def test_bounds_and_the_address_itself() -> None:
    assert check("seven77", email="a@b.example", pointer="#/password")
    assert check("x7" * 129, email="a@b.example", pointer="#/password")
    assert check("tidal ferns " * 20, email="a@b.example", pointer="#/password") == []
    assert check("Mara.Lind@b.example", email="mara.lind@b.example", pointer="#/password")
    assert check("mara.lind", email="mara.lind@b.example", pointer="#/password")


async def test_a_password_is_kept_whole_beyond_bcrypts_72_bytes() -> None:
    long = "x" * 80
    stored = await passwords.hash(long)
    assert stored.startswith("v1$$2b$04$")
    assert long not in stored
    assert await passwords.verify(long, stored)
    assert not await passwords.verify(long + "y", stored)
    assert not await passwords.verify("x" * 79 + "y", stored)


async def test_the_pepper_matters() -> None:
    stored = await passwords.hash("tidal ferns at dusk")
    assert not await Passwords(b"another pepper", cost=4).verify("tidal ferns at dusk", stored)


async def test_an_unknown_user_never_matches_not_even_the_dummy() -> None:
    assert not await passwords.verify("nobody's password", None)
    assert not await passwords.verify("anything", "not a hash of ours")


def test_a_cheaper_hash_is_outdated() -> None:
    stored = asyncio.run(passwords.hash("tidal ferns at dusk"))
    assert not passwords.outdated(stored)
    assert Passwords(b"p", cost=5).outdated(stored)
    assert passwords.outdated("$2b$04$whatever")


async def test_an_imported_hash_signs_in_once_and_is_one_of_ours_then(world: World, admin_url: str) -> None:
    account = await world.account()
    kept = "v0$" + bcrypt.hashpw(b"tidal ferns", bcrypt.gensalt(4)).decode()
    engine = create_engine(admin_url, pool_size=1)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE users SET password = :kept"), {"kept": kept})
    wrong = await world.http.post("/v1/auth/login", json={"email": account.email, "password": "tidal fern"})
    right = await world.http.post("/v1/auth/login", json={"email": account.email, "password": "tidal ferns"})
    assert (wrong.status_code, right.status_code) == (401, 200)
    async with engine.connect() as connection:
        stored = await connection.scalar(text("SELECT password FROM users"))
    assert str(stored).startswith("v1$")
    again = await world.http.post("/v1/auth/login", json={"email": account.email, "password": "tidal ferns"})
    assert again.status_code == 200
    await engine.dispose()


async def test_a_cheaper_imported_hash_takes_as_long_as_one_of_ours() -> None:
    passwords = Passwords(PEPPER, 9)
    kept = "v0$" + bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()

    async def seconds(stored: str | None) -> float:
        best = 9.0
        for _ in range(5):
            began = perf_counter()
            await passwords.verify("y", stored)
            best = min(best, perf_counter() - began)
        return best

    assert await seconds(kept) > 0.6 * await seconds(None)
    passwords.close()


async def test_a_long_imported_password_is_read_as_its_maker_read_it() -> None:
    passwords = Passwords(PEPPER, 4)
    kept = "v0$" + bcrypt.hashpw(b"z" * 72, bcrypt.gensalt(4)).decode()
    assert await passwords.verify("z" * 90, kept)
    assert passwords.outdated(kept)
    passwords.close()

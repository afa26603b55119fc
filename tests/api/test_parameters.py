"""A query parameter nobody reads would look like a filter that matched everything."""

import pytest

from tests.api.house import House, house, problems

__all__ = ["house"]


@pytest.mark.parametrize(
    ("address", "place", "mend"),
    [
        ("/v1/tasks?execution=0192f0c1-2b7e-7cc3-9d0a-3f1b2c4d5e6f", "query/execution", "'execution_id'"),
        ("/v1/executions?limit=2&statsu=running", "query/statsu", "'status'"),
        ("/v1/clients?Limit=2", "query/Limit", "'limit'"),
        ("/v1/workflows?zzzz=1", "query/zzzz", "known here: "),
        ("/v1/me?all=true", "query/all", "Remove it."),
    ],
)
async def test_an_unknown_parameter_is_refused_with_the_nearest_known(
    house: House, address: str, place: str, mend: str
) -> None:
    answer = await house.member.get(address)
    assert answer.status_code == 422, answer.text
    assert problems(answer) == {place: "unknown_parameter"}
    assert mend in answer.json()["errors"][0]["suggestion"]


async def test_writing_refuses_them_as_well(house: House) -> None:
    answer = await house.owner.post("/v1/clients?dry_run=true", {"name": "Ada"})
    assert answer.status_code == 422
    assert (await house.owner.get("/v1/clients")).json()["items"] == []


async def test_what_is_not_the_api_takes_any(house: House) -> None:
    for address in ("/healthz?t=1", "/docs?utm_source=mail", "/login?utm_source=mail"):
        assert (await house.owner.get(address)).status_code == 200


async def test_a_flood_of_them_is_answered_with_a_few(house: House) -> None:
    answer = await house.member.get("/v1/tasks?" + "&".join(f"{n}{'x' * 90}=1" for n in range(500)))
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 10

"""`client.find` on a real PostgreSQL under the worker's own role."""

from typing import Any

import pytest

from tests.activities.test_client_actions import Tenant, opened, ours, theirs

__all__ = ["opened", "ours", "theirs"]


async def _clients(ours: Tenant) -> None:
    for place, client in enumerate(
        [
            {"name": "Cleo", "email": "cleo@client.example", "tags": ["kyc-due"], "client_number": "C-3"},
            {
                "name": "Ann",
                "email": "Ann@Client.example",
                "tags": ["kyc-due", "vip"],
                "client_number": "C-1",
            },
            {"name": "Bob", "tags": ["kyc-due"], "status": "inactive"},
        ]
    ):
        await ours.run("create", client, occurrence=f"/do/{place}/x#1")


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"email": " ANN@client.EXAMPLE "}, ["Ann"]),
        ({"email": "nobody@client.example"}, []),
        ({"email": "%@client.example"}, []),
        ({"client_number": "C-3"}, ["Cleo"]),
        ({"tag": "kyc-due"}, ["Ann", "Bob", "Cleo"]),
        ({"tag": "kyc-due", "status": "active"}, ["Ann", "Cleo"]),
        ({"tag": "kyc-due", "email": "ann@client.example"}, ["Ann"]),
        ({"tag": "kyc"}, []),
    ],
)
async def test_clients_are_found_by_what_is_said_of_them(
    ours: Tenant, wanted: dict[str, Any], names: list[str]
) -> None:
    await _clients(ours)
    found = await ours.run("find", wanted)
    assert [each["name"] for each in found["clients"]] == names
    assert found["more"] is False


async def test_more_than_were_asked_for_are_told(ours: Tenant) -> None:
    await _clients(ours)
    found = await ours.run("find", {"tag": "kyc-due", "limit": 2})
    assert ([each["name"] for each in found["clients"]], found["more"]) == (["Ann", "Bob"], True)


async def test_another_organization_finds_nothing(ours: Tenant, theirs: Tenant) -> None:
    await _clients(ours)
    assert await theirs.run("find", {"tag": "kyc-due"}) == {"clients": [], "more": False}


@pytest.mark.parametrize(
    ("wanted", "words"),
    [({}, "say whom to find"), ({"limit": 5}, "say whom to find"), ({"tag": "a", "limit": 51}, "limit")],
)
async def test_asking_for_everybody_is_refused(ours: Tenant, wanted: dict[str, Any], words: str) -> None:
    refusal = await ours.fault("find", wanted)
    assert refusal.status == 400
    assert words in (refusal.detail or "")

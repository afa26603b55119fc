"""Tax ids of clients: sealed at rest, shown to readers, found by exact value in their own organization alone."""

from typing import Any

from sqlalchemy import text

from db.keys import DataKeys
from db.rotation import Rotation
from db.taxids import UNREADABLE
from tests.api.house import House, house
from workers.secret_values import MasterKey

__all__ = ["house"]

TAX_ID = "12-3456789"


async def create(house: House, **fields: Any) -> dict[str, Any]:
    made = await house.owner.post("/v1/clients", {"name": "Ann", **fields})
    assert made.status_code == 201, made.text
    answered: dict[str, Any] = made.json()
    return answered


async def found(house: House, tax_id: str) -> list[str]:
    answer = await house.member.get("/v1/clients", params={"tax_id": tax_id})
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in answer.json()["items"]]


async def test_a_tax_id_is_sealed_in_the_row_and_shown_to_those_who_read_clients(house: House) -> None:
    made = await create(house, tax_id=TAX_ID)
    assert made["tax_id"] == TAX_ID
    [row] = await house.everything("clients")
    assert TAX_ID not in row["tax_id"]
    assert len(row["tax_id_index"]) == 32
    assert (await house.member.get(f"/v1/clients/{made['id']}")).json()["tax_id"] == TAX_ID
    assert [each["tax_id"] for each in (await house.member.get("/v1/clients")).json()["items"]] == [TAX_ID]


async def test_a_client_is_found_by_its_exact_tax_id_before_and_after_a_rotation(house: House) -> None:
    await create(house, tax_id=TAX_ID)
    await create(house, name="Bob", tax_id="12-3456780")
    await create(house, name="Cid")
    await house.stranger.post("/v1/clients", {"name": "Other", "tax_id": TAX_ID})
    assert await found(house, TAX_ID) == ["Ann"]
    assert await found(house, "12-34567") == []
    keys = DataKeys(house.database, [MasterKey("test", b"m" * 32)])
    await Rotation(house.database, keys, columns=()).data()  # new keys, but nothing sealed again yet
    assert await found(house, TAX_ID) == ["Ann"]
    await Rotation(house.database, keys).data(renew=False)
    await create(house, name="Dan", tax_id=TAX_ID)
    assert sorted(await found(house, TAX_ID)) == ["Ann", "Dan"]


async def test_a_tax_id_is_changed_and_taken_away(house: House) -> None:
    made = await create(house, tax_id=TAX_ID)
    for tax_id, expected in (("99", ["Ann"]), (None, [])):
        tag = (await house.owner.get(f"/v1/clients/{made['id']}")).headers["ETag"]
        changed = await house.owner.change(f"/v1/clients/{made['id']}", {"tax_id": tax_id}, tag)
        assert (changed.status_code, changed.json()["tax_id"]) == (200, tax_id)
        assert await found(house, "99") == expected
        assert await found(house, TAX_ID) == []
    [row] = await house.everything("clients")
    assert row["tax_id"] is row["tax_id_index"] is None


async def test_a_tax_id_copied_to_another_client_or_shredded_is_unreadable(house: House) -> None:
    first, second = await create(house, tax_id=TAX_ID), await create(house, name="Bob", tax_id="2")
    async with house.admin.begin() as connection:
        copied = "UPDATE clients SET tax_id = (SELECT tax_id FROM clients WHERE id = :one) WHERE id = :two"
        await connection.execute(text(copied), {"one": first["id"], "two": second["id"]})
    assert (await house.owner.get(f"/v1/clients/{second['id']}")).json()["tax_id"] == UNREADABLE
    assert (await house.owner.get(f"/v1/clients/{first['id']}")).json()["tax_id"] == TAX_ID

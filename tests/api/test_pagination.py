from tests.api.conftest import Account, World


async def names(account: Account, query: str) -> tuple[list[str], str | None]:
    answer = await account.get(f"/v1/clients?{query}")
    assert answer.status_code == 200, answer.text
    page = answer.json()
    return [item["name"] for item in page["items"]], page["next_cursor"]


async def test_following_cursors_shows_everything_once_while_rows_arrive(account: Account) -> None:
    for number in range(7):
        assert (await account.post("/v1/clients", json={"name": f"c{number}"})).status_code == 201
    first, cursor = await names(account, "limit=3")
    await account.post("/v1/clients", json={"name": "late"})
    second, cursor = await names(account, f"limit=3&cursor={cursor}")
    third, end = await names(account, f"limit=3&cursor={cursor}")
    assert first + second + third == [f"c{number}" for number in range(6, -1, -1)]
    assert end is None


async def test_a_cursor_is_taken_only_as_it_was_given(world: World, account: Account) -> None:
    for number in range(3):
        await account.post("/v1/clients", json={"name": f"c{number}"})
    _, cursor = await names(account, "limit=1")
    assert cursor is not None
    changed = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
    for bad in ("x", "", changed, cursor[:-4], cursor + "AAAA", "%F0%9F%8C%B1", "a" * 201):
        answer = await account.get(f"/v1/clients?cursor={bad}")
        assert answer.status_code == 422, bad
        assert answer.json()["errors"][0]["pointer"] == "query/cursor"
    assert (await account.get(f"/v1/contacts?cursor={cursor}")).status_code == 422
    stranger = await world.account()
    assert (await names(stranger, f"cursor={cursor}")) == ([], None)

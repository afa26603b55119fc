"""Secrets: written and never read back, their own organization's alone, audited without the value."""

import json
from typing import Any

import pytest
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import DBAPIError

from db.keys import DataKeys
from db.sealed import place
from db.secrets import Secrets, SecretVersion
from db.session import Access, Role
from domain.secrets import MAX_VALUE_BYTES
from tests.api.house import House, house
from workers.secret_values import MasterKey

__all__ = ["house"]

CANARY = "canary-5f0c1b-very-secret"


async def test_a_secret_is_set_replaced_listed_and_deleted_but_never_answered(house: House) -> None:
    http = house.owner.http
    made = await http.put("/v1/secrets/stripe_key", json={"value": CANARY})
    assert made.status_code == 201, made.text
    assert (made.json()["name"], made.json()["version"]) == ("stripe_key", 1)
    replaced = await http.put("/v1/secrets/stripe_key", json={"value": CANARY + "2"})
    assert (replaced.status_code, replaced.json()["version"]) == (200, 2)
    await http.put("/v1/secrets/another", json={"value": "x"})
    listed = await http.get("/v1/secrets")
    assert [(each["name"], each["version"]) for each in listed.json()["items"]] == [
        ("another", 1),
        ("stripe_key", 2),
    ]
    assert listed.json()["items"][1]["updated_by"] == str(house.owner.id)
    answers = [made, replaced, listed, await http.get("/v1/secrets/stripe_key")]
    assert answers[-1].status_code == 405
    assert not any(CANARY in answer.text for answer in answers)
    assert (await http.delete("/v1/secrets/stripe_key")).status_code == 204
    assert (await http.delete("/v1/secrets/stripe_key")).status_code == 404
    assert [each["name"] for each in (await http.get("/v1/secrets")).json()["items"]] == ["another"]
    assert await house.everything("secret_versions"), "the other one's value is still there"


async def test_workers_open_the_value_in_use_and_the_one_before_is_destroyed(house: House) -> None:
    for value in ("first", "second ✓"):
        await house.owner.http.put("/v1/secrets/token", json={"value": value})
    await house.stranger.http.put("/v1/secrets/token", json={"value": "theirs"})
    keys = DataKeys(house.database, [MasterKey("test", b"m" * 32)])
    async with house.working() as tx:
        found = await Secrets(tx).sealed(["token", "unknown"])
        assert await tx.scalar(select(text("count(*)")).select_from(SecretVersion)) == 1
    assert list(found) == ["token"]
    id, sealed = found["token"]
    opened = await keys.open(house.owner.organization_id, sealed, place("secret_versions", "value", id))
    assert opened.decode() == "second ✓"


async def test_the_api_cannot_select_a_value_even_sealed(house: House) -> None:
    await house.owner.http.put("/v1/secrets/token", json={"value": "x"})

    access = Access(Role.API, house.owner.organization_id, house.owner.id)
    with pytest.raises(DBAPIError, match="permission denied"):
        async with house.database.transaction(access) as tx:
            await tx.execute(select(SecretVersion.value))


@pytest.mark.parametrize(
    ("name", "body", "pointer"),
    [
        ("a-b", {"value": "x"}, "path/name"),
        ("1a", {"value": "x"}, "path/name"),
        ("a" * 65, {"value": "x"}, "path/name"),
        ("a", {"value": ""}, "#/value"),
        ("a", {"value": "ä" * (MAX_VALUE_BYTES // 2 + 1)}, "#/value"),
        ("a", {"value": 5}, "#/value"),
        ("a", {"value": CANARY + "\u0000"}, "#/value"),
        ("a", {"value": CANARY, "note": 1}, "#/note"),
        ("a", {}, "#/value"),
    ],
)
async def test_bad_names_and_values_are_refused_without_repeating_them(
    house: House, name: str, body: Any, pointer: str
) -> None:
    answer = await house.owner.http.put(f"/v1/secrets/{name}", json=body)
    assert answer.status_code == 422, answer.text
    assert pointer in [each["pointer"] for each in answer.json()["errors"]]
    assert CANARY not in answer.text
    assert await house.everything("secrets") == []


async def test_the_largest_value_is_taken(house: House) -> None:
    answer = await house.owner.http.put("/v1/secrets/large", json={"value": "ä" * (MAX_VALUE_BYTES // 2)})
    assert answer.status_code == 201


async def test_who_may_read_names_and_who_may_write(house: House) -> None:
    assert (await house.member.http.put("/v1/secrets/a", json={"value": "x"})).status_code == 403
    assert (await house.member.http.get("/v1/secrets")).status_code == 403
    assert (await house.reviewer.http.delete("/v1/secrets/a")).status_code == 403


async def test_another_organization_neither_sees_nor_changes_a_secret_of_the_same_name(house: House) -> None:
    await house.owner.http.put("/v1/secrets/token", json={"value": "ours"})
    theirs = await house.stranger.http.put("/v1/secrets/token", json={"value": "theirs"})
    assert (theirs.status_code, theirs.json()["version"]) == (201, 1)
    assert (await house.stranger.http.delete("/v1/secrets/token")).status_code == 204
    assert [each["name"] for each in (await house.owner.http.get("/v1/secrets")).json()["items"]] == ["token"]


async def test_changes_are_in_the_activity_log_by_name(house: House) -> None:
    await house.owner.http.put("/v1/secrets/token", json={"value": CANARY})
    await house.owner.http.delete("/v1/secrets/token")
    noted = [row for row in await house.everything("activity_logs") if row["action"].startswith("secret.")]
    assert [(row["action"], row["user_id"], row["metadata"]) for row in noted] == [
        ("secret.set", house.owner.id, {"name": "token", "version": 1}),
        ("secret.delete", house.owner.id, {"name": "token", "version": 1}),
    ]


async def test_the_limit_of_secrets_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.secrets.MAX_SECRETS", 2)
    statuses = [
        (await house.owner.http.put(f"/v1/secrets/s{number}", json={"value": "x"})).status_code
        for number in (1, 2, 3, 2)
    ]
    assert statuses == [201, 201, 409, 200]


async def test_validation_and_publishing_know_which_secrets_are_set(house: House) -> None:
    await house.owner.http.put("/v1/secrets/known", json={"value": "x"})
    texts = {"to": "${ $secrets.known }", "subject": "${ $secrets.knwn }", "text": "x"}
    definition = {"do": [{"tell": {"call": "email.send", "with": texts}}]}
    verdict = (await house.member.post("/v1/workflows/validate", {"definition": definition})).json()
    warned = [(each["pointer"], each["code"]) for each in verdict["problems"]]
    assert (verdict["valid"], warned) == (True, [("/do/0/tell/with/subject", "unknown_secret")]), verdict
    created = await house.owner.post("/v1/workflows", {"name": "Tell", "definition": definition})
    published = await house.owner.post(f"/v1/workflows/{created.json()['id']}/publish")
    assert published.status_code == 201, published.text
    assert [each["code"] for each in published.json()["warnings"]] == ["unknown_secret"]


async def test_an_expression_with_secrets_is_tried_with_examples(house: House) -> None:
    trial = {"expression": "${ $secrets.key | length }"}
    refused = await house.member.post("/v1/expressions/evaluate", trial)
    assert refused.status_code == 422
    assert "send an example" in refused.json()["errors"][0]["suggestion"]
    tried = await house.member.post(
        "/v1/expressions/evaluate", {**trial, "scope": {"secrets": {"key": "abc"}}}
    )
    assert tried.json()["result"] == 3


async def test_no_column_of_any_table_holds_the_value(house: House) -> None:
    """What a dump of the database would show."""
    http = house.owner.http
    await http.put("/v1/secrets/token", json={"value": CANARY}, headers={"Idempotency-Key": "k1"})
    for _ in range(2):
        created = await http.post(
            "/v1/clients", json={"name": "Ann", "tax_id": CANARY}, headers={"Idempotency-Key": "k2"}
        )
        assert (created.status_code, created.json()["tax_id"]) == (201, CANARY)
    assert created.headers["Idempotent-Replay"] == "true"
    assert await found_anywhere(house, CANARY) == []
    assert await found_anywhere(house, "Ann"), "the search finds what is there"


async def found_anywhere(house: House, canary: str) -> list[str]:
    """`table.column` of every column in which the text stands, plain, in hex or in base64, as superuser sees it."""
    forms = [canary, canary.encode().hex(), json.dumps(canary)[1:-1]]
    found = []
    async with house.admin.connect() as connection:
        tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        for table in tables:
            for row in (await connection.execute(text(f'SELECT * FROM "{table}"'))).mappings():
                for column, value in row.items():
                    shown = value.decode("latin-1") if isinstance(value, bytes) else str(value)
                    if any(form in shown for form in forms):
                        found.append(f"{table}.{column}")
    return found

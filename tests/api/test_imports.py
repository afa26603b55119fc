"""Uploading CSV files: what cannot be read is refused as a whole, with line, column and the mend."""

import asyncio
from typing import Any

import httpx2
import pytest

from tests.api.house import House, Person, house, problems

__all__ = ["house"]
GOOD = b"name,number\nAnn,1\nBob,2\n"


async def send(
    who: Person,
    content: bytes,
    path: str = "clients",
    kind: str = "text/csv",
    key: str | None = None,
    **query: Any,
) -> httpx2.Response:
    headers = {"Content-Type": kind} | ({"Idempotency-Key": key} if key else {})
    return await who.http.post(f"/v1/{path}/imports", content=content, params=query, headers=headers)


async def test_an_import_is_accepted_and_its_rows_are_sealed(house: House) -> None:
    answer = await send(house.owner, b"name,email\nZebrafink,a@b.example\n")
    assert answer.status_code == 202, answer.text
    view = answer.json()
    assert (view["status"], view["total"], view["processed"], view["progress"]) == ("queued", 1, 0, 0)
    assert answer.headers["location"] == view["links"]["self"]
    assert (await house.owner.get(view["links"]["self"])).json() == view
    assert [v["id"] for v in (await house.owner.get("/v1/clients/imports")).json()["items"]] == [view["id"]]
    assert (await house.owner.get("/v1/contacts/imports")).json()["items"] == []
    assert (await house.owner.get(f"/v1/contacts/imports/{view['id']}")).status_code == 404
    [part] = await house.everything("transfer_parts")
    assert b"Zebrafink" not in part["content"]
    assert len(house.dispatcher.told) == 1
    assert (await house.owner.get(view["links"]["errors"])).json() == {"items": [], "next_cursor": None}


async def test_the_same_file_under_the_same_key_is_one_import(house: House) -> None:
    await house.warm()
    answers = await asyncio.gather(*(send(house.owner, GOOD, key="k") for _ in range(4)))
    assert {a.status_code for a in answers} == {202}
    assert len({a.json()["id"] for a in answers}) == 1
    assert len(await house.everything("transfers")) == 1
    assert (await send(house.owner, GOOD + b"Cid,3\n", key="k")).json()["code"] == "idempotency_key_reused"


async def test_a_form_with_a_file_does_as_well(house: House) -> None:
    answers = [
        await house.owner.http.post(
            "/v1/clients/imports",
            files={"file": ("kunden.csv", GOOD, "text/csv")},
            headers={"Idempotency-Key": "k"},
        )
        for _ in range(2)
    ]
    assert [a.status_code for a in answers] == [202, 202]
    assert answers[0].json()["id"] == answers[1].json()["id"], "boundaries differ, the file does not"
    assert answers[0].json()["filename"] == "kunden.csv"
    none = await house.owner.http.post("/v1/clients/imports", files={"other": ("a.csv", GOOD, "text/csv")})
    assert (none.status_code, list(problems(none))) == (422, ["#/file"])
    broken = await send(house.owner, b"--x\r\nno form", kind="multipart/form-data")
    assert broken.status_code == 422


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        (b"", "#", "no rows"),
        (b"\n\r\n,,\n", "#", "no rows"),
        (b"name,number\n", "#/line/1", "nothing else"),
        (b'name\nAnn\n"Bob', "#/line/3/column/1", "never closed"),
        (b'name,city\nAnn,"Ulm"x\n', "#/line/2/column/10", "closing quotation mark"),
        (b'name,city\n"a\nb",x\n"c\n\nd",y"z,"oo"p\n', "#/line/6/column/12", "closing quotation mark"),
        (b"name,number\nAnn,\x00\n", "#/line/2/column/5", "NUL"),
        (b"name\nAnn\nB\x81b\n", "#/line/3/column/2", "Windows-1252"),
        (b"\xef\xbb\xbfname\nA\xff\n", "#/line/2/column/2", "UTF-8"),
        ("name\nAnn\n".encode("utf-16") + b"\x00", "#/line/3/column/1", "UTF-16"),
        (b"PK\x03\x04rest", "#", "workbook"),
        (b"nam,number\nAnn,1\n", "#/line/1/column/1", "name"),
        (b"name,Fax\nAnn,1\n", "#/line/1/column/2", "mapping"),
        (b"name,e-mail,mail\nA,b@c.example,\n", "#/line/1/column/3", "both read as email"),
        (b"number,city\n1,Ulm\n", "#/line/1", "No column is read as name"),
        (b"name:number\nAnn:1\n", "#/line/1/column/1", "name"),
        (b'name,address\nAnn,"' + b"x" * 40_000 + b'"\n', "#/line/2", "longer"),
    ],
)
async def test_a_file_that_cannot_be_read_is_refused_where_it_is_broken(
    house: House, content: bytes, place: str, words: str
) -> None:
    answer = await send(house.owner, content)
    assert (answer.status_code, answer.json()["code"]) == (422, "unreadable_file"), answer.text
    assert place in problems(answer), answer.text
    assert words in answer.text
    assert await house.everything("transfers") == []
    assert house.dispatcher.told == []


@pytest.mark.parametrize(
    "query",
    [
        {"mode": "merge"},
        {"match_by": "name"},
        {"delimiter": "x"},
        {"delimiter": "commas"},
        {"mapping": "no json"},
        {"mapping": '["name"]'},
        {"mapping": '{"name": 5}'},
        {"mapping": '{"nam": "name"}'},
        {"mapping": '{"name": "nmae"}'},
        {"unknown_columns": "perhaps"},
        {"dry-run": "true"},
    ],
)
async def test_options_nobody_understands_are_refused(house: House, query: dict[str, str]) -> None:
    answer = await send(house.owner, GOOD, **query)
    assert answer.status_code == 422
    assert all(p.startswith("query/") for p in problems(answer)), answer.text


async def test_who_changes_clients_says_by_what_they_are_known(house: House) -> None:
    refused = await send(house.owner, b"name,phone\nAnn,+49 30 901820\n", mode="upsert")
    assert (refused.status_code, "No column is read as client_number" in refused.text) == (422, True)
    assert (
        await send(house.owner, b"phone,e-mail\n1234,a@b.example\n", mode="upsert", match_by="email")
    ).is_success


async def test_what_is_too_large_or_no_csv_is_refused(house: House) -> None:
    large = b"name\n" + b"x" * (10 * 1024 * 1024)
    assert (await send(house.owner, large)).status_code == 413
    many = b"name\n" + b"x\n" * 100_001
    refused = await send(house.owner, many)
    assert (refused.status_code, "100000 rows" in refused.text) == (422, True)
    assert (await send(house.owner, GOOD, kind="application/json")).status_code == 415
    assert (await send(house.owner, GOOD, kind="")).status_code == 415


async def test_only_who_may_import_and_export_does(house: House) -> None:
    for who in (house.reviewer,):
        denied = await send(who, GOOD)
        assert (denied.status_code, "clients:import" in denied.text) == (403, True)
        assert (await who.post("/v1/clients/exports", {})).status_code == 403
    assert (await send(house.stranger, GOOD)).status_code == 202
    assert (await house.owner.get("/v1/clients/imports")).json()["items"] == []


async def test_tax_ids_leave_only_for_a_confirmed_login(house: House) -> None:
    """An API key never proves that somebody is there."""
    denied = await house.owner.post("/v1/clients/exports", {"tax_ids": True})
    assert (denied.status_code, denied.json()["code"]) == (403, "step_up_required")
    made = await house.owner.post("/v1/clients/exports", {"status": "active", "delimiter": "semicolon"})
    assert made.status_code == 202, made.text
    early = await house.owner.get(made.json()["links"]["self"] + "/file")
    assert (early.status_code, early.json()["code"]) == (409, "export_not_ready")
    assert made.json()["filters"] == {"status": "active"}
    assert (await house.owner.post("/v1/clients/exports", {"status": "alien"})).status_code == 422
    assert (await house.owner.post("/v1/contacts/exports", None)).status_code == 202


async def test_cancelling_asks_once_and_says_so(house: House) -> None:
    view = (await send(house.owner, GOOD)).json()
    for _ in range(2):
        cancelled = await house.owner.post(view["links"]["self"] + "/cancel")
        assert cancelled.status_code == 202
        assert cancelled.json()["message"] == "0 of 2 rows are done. It is being cancelled."
    assert len(house.dispatcher.told) == 2, "the start, and one word that it is to end"

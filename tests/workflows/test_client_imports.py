"""Imports and exports of clients and contacts through the real API, worker and database."""

import asyncio
import csv
import io
import os
import sys
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from db.session import Access, Role
from domain.imports import ROWS_PER_PART
from tests.workflows.engine import SECRET, Engine
from workers.settings import Settings


async def upload(
    engine: Engine, content: bytes | str, path: str = "clients", **query: Any
) -> httpx2.Response:
    body = content.encode() if isinstance(content, str) else content
    return await engine.http.post(
        f"/v1/{path}/imports", content=body, params=query, headers={"Content-Type": "text/csv"}
    )


async def imported(
    engine: Engine, content: bytes | str, path: str = "clients", **query: Any
) -> dict[str, Any]:
    """The import once its execution has ended."""
    answer = await upload(engine, content, path, **query)
    assert answer.status_code == 202, answer.text
    await engine.ended(answer.json()["execution_id"])
    return await engine.get(answer.json()["links"]["self"])


async def errors(engine: Engine, view: dict[str, Any]) -> list[dict[str, Any]]:
    found, cursor = [], None
    while True:
        params = {"limit": 3} if cursor is None else {"limit": 3, "cursor": cursor}
        page = (await engine.http.get(view["links"]["errors"], params=params)).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def counted(engine: Engine, statement: str) -> Any:
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        return (await tx.execute(text(statement))).all()


async def test_a_file_becomes_clients_events_and_a_report(engine: Engine) -> None:
    content = (
        "Kundenname;Kunden-Nr.;E-Mail;PLZ;Kreditlimit;Steuernummer;Fax;Telefon;Land\r\n"
        'Ann & Söhne;C-1;ann@a.example;10115;"1.500,00";12-345;x;030 901820;Germany\r\n'
        '"Bob ""B"";\r\nLtd";C-2;bob@b.example;2;;;;;\r\n'
        "Cid;C-1;nobody;3;1,500;;;;Atlantis\r\n"
        "\r\n"
        ";;;;;;;;\r\n"
        "Dan;C-4;=cmd@d.example;4;;;;;US\r\n"
    ).encode("cp1252")
    view = await imported(engine, content, mapping='{"Fax": null}')
    assert (view["status"], view["encoding"], view["delimiter"]) == ("completed", "windows-1252", "semicolon")
    assert (view["total"], view["created"], view["failed"], view["progress"]) == (4, 3, 1, 100)
    assert view["columns"]["PLZ"] == "zip_code"
    assert view["ignored_columns"] == ["Fax"]
    assert view["message"] == "3 created, 0 changed, 0 left as they were, 1 refused."
    found = {c["client_number"]: c for c in (await engine.get("/v1/clients"))["items"]}
    ann = found["C-1"]
    assert (ann["credit_limit"], ann["tax_id"], ann["country"]) == ("1500.00", "12-345", "DE")
    assert (ann["phone"], ann["name"]) == ("+49 30 901820", "Ann & Söhne")
    assert found["C-2"]["name"] == 'Bob "B";\r\nLtd'
    assert found["C-2"]["payment_terms"] == "net_30"
    wrong = await errors(engine, view)
    assert [(e["line"], e["column"], e["field"], e["value"]) for e in wrong] == [
        (5, 2, "client_number", "C-1"),
        (5, 3, "email", "nobody"),
        (5, 5, "credit_limit", "1,500"),
        (5, 9, "country", "Atlantis"),
    ]
    assert all(each["mend"] for each in wrong)
    told = await counted(engine, "SELECT type, count(*) FROM events GROUP BY type")
    assert [tuple(row) for row in told] == [("client.created", 3)]
    kept = await counted(engine, "SELECT count(*) FROM transfer_parts WHERE content IS NOT NULL")
    assert kept[0][0] == 0, "what was imported is not kept twice"


async def test_a_dry_run_reports_and_writes_nothing(engine: Engine) -> None:
    view = await imported(engine, "name,email\nAnn,a@b.example\nBob,no\n", dry_run=True)
    assert (view["created"], view["failed"]) == (1, 1)
    assert "dry run" in view["message"]
    assert (await engine.get("/v1/clients"))["items"] == []
    assert (await counted(engine, "SELECT count(*) FROM events"))[0][0] == 0


async def test_upsert_changes_what_differs_and_tells_only_of_that(engine: Engine) -> None:
    await imported(engine, "name,number,city,tax id,limit\nAnn,1,Bonn,77,10\nBob,2,Ulm,,\nCid,3,,,\n")
    second = "name,number,city,tax id,limit\nAnn,1,Bonn,77,10.00\nBob,2,Köln,,\nDan,4,,,\nEve,,,,\n"
    view = await imported(engine, second, mode="upsert")
    assert [view[n] for n in ("created", "updated", "unchanged", "failed")] == [1, 1, 1, 1]
    [wrong] = await errors(engine, view)
    assert (wrong["line"], "client_number" in wrong["message"]) == (5, True)
    told = await counted(engine, "SELECT type, count(*) FROM events GROUP BY type ORDER BY type")
    assert [tuple(row) for row in told] == [("client.changed", 1), ("client.created", 4)]
    assert {c["city"] for c in (await engine.get("/v1/clients?q=bob"))["items"]} == {"Köln"}
    phones = await imported(engine, "number,phone\n2,+49 30 901820\n9,+49 30 901821\n", mode="upsert")
    assert [phones[n] for n in ("created", "updated", "failed")] == [0, 1, 1]
    [wrong] = await errors(engine, phones)
    assert (wrong["line"], wrong["message"]) == (3, "A new client needs a name.")


async def test_contacts_find_their_client_and_one_becomes_primary(engine: Engine) -> None:
    await imported(engine, "name,number,email\nAnn,1,office@ann.example\nBob,2,\n")
    rows = "Vorname,Nachname,client number,client email,email,primary,can_authorize\n"
    rows += (
        "Ada,A,1,,ada@ann.example,yes,x\nEve,E,,office@ann.example,eve@ann.example,ja,no\nNo,One,9,,,no,\n"
    )
    view = await imported(engine, rows, "contacts")
    assert (view["created"], view["failed"]) == (2, 1)
    assert [e["code"] for e in await errors(engine, view)] == ["unknown_client"]
    people = {c["first_name"]: c for c in (await engine.get("/v1/contacts"))["items"]}
    assert (people["Ada"]["is_primary"], people["Eve"]["is_primary"]) == (False, True)
    assert people["Ada"]["can_authorize"] is True
    again = await imported(engine, rows.replace("Ada,A", "Ada,Alt"), "contacts", mode="upsert")
    assert [again[n] for n in ("created", "updated", "unchanged", "failed")] == [0, 1, 1, 1]


async def test_a_cell_that_no_database_keeps_costs_its_own_row_alone(engine: Engine) -> None:
    """JSON can say what jsonb, UTF-8 and 64 bits cannot."""
    cells = ['{"a":"\\u0000"}', '{"\\ud800":1}', '{"a":18446744073709551616}', '{"a":1e400}', '{"a":NaN}']
    cells += ['{"a":' * 200 + "1" + "}" * 200, '{"a":["\\u00e9\\ud83d\\ude00", 1.5, null, true]}']
    written = io.StringIO(newline="")
    csv.writer(written).writerows([["name", "service_preferences"], *(["Ann", cell] for cell in cells)])
    view = await imported(engine, written.getvalue())
    assert (view["status"], view["created"], view["failed"]) == ("completed", 1, 6)
    assert [each["line"] for each in await errors(engine, view)] == [2, 3, 4, 5, 6, 7]


async def test_a_contact_that_stands_twice_in_a_file_is_made_once(engine: Engine) -> None:
    """As it would be, were the two rows in different parts."""
    await imported(engine, "name,number,email\nAnn,1,office@ann.example\nBob,2,\n")
    rows = "first name,last name,client number,client email,email\n"
    rows += "Ada,A,1,,ada@x.example\nAda,B,1,,ADA@x.example\nAda,C,,office@ann.example,ada@x.example\n"
    rows += "Ada,D,2,,ada@x.example\nEve,E,1,,\n"
    for expected in ([2, 0, 0, 3], [0, 0, 2, 3]):
        view = await imported(engine, rows, "contacts", mode="upsert")
        assert [view[n] for n in ("created", "updated", "unchanged", "failed")] == expected
        told = [(each["line"], each["code"]) for each in await errors(engine, view)]
        assert told == [(3, "duplicate_row"), (4, "duplicate_row"), (6, "invalid")]
    people = [contact["last_name"] for contact in (await engine.get("/v1/contacts"))["items"]]
    assert sorted(people) == ["A", "D"]


async def test_a_number_that_somebody_has_is_reported_and_the_rest_goes_on(engine: Engine) -> None:
    await engine.post("/v1/clients", {"name": "First", "client_number": "C-1"})
    view = await imported(engine, "name,number\nAnn,C-1\nBob,C-2\n")
    assert (view["created"], view["failed"]) == (1, 1)
    [wrong] = await errors(engine, view)
    assert (wrong["line"], wrong["column"], wrong["code"]) == (2, 2, "client_number_taken")
    report = (await engine.http.get(view["links"]["errors_csv"])).text
    rows = list(csv.reader(io.StringIO(report.removeprefix("\ufeff"))))
    assert rows[1][:4] == ["2", "2", "client_number", "C-1"]


async def test_what_was_exported_is_imported_back_without_a_change(engine: Engine) -> None:
    content = "name,number,phone,tags,communication_preferences\n"
    content += '"=1+1, ""x""",1,+49 30 901820,"a; b","{""email"":false}"\nBob\u2028,2,,,\n'
    assert (await imported(engine, content))["created"] == 2
    started = await engine.post("/v1/clients/exports", {"delimiter": "semicolon"})
    await engine.ended(started["execution_id"])
    view = await engine.get(started["links"]["self"])
    assert (view["status"], view["processed"]) == ("completed", 2)
    file = await engine.http.get(view["links"]["file"])
    assert file.headers["content-disposition"] == 'attachment; filename="clients.csv"'
    # Rows of one part are of one moment, and stand in the order of their ids.
    lines = sorted(
        csv.DictReader(io.StringIO(file.text.removeprefix("\ufeff")), delimiter=";"),
        key=lambda line: line["name"],
    )
    assert [line["name"][:1] for line in lines] == ["'", "B"]
    assert lines[0]["phone"] == "'+49 30 901820"
    assert "tax_id" not in lines[0]
    again = await imported(engine, file.content, mode="upsert")
    assert [again[n] for n in ("created", "updated", "unchanged", "failed")] == [0, 0, 2, 0], await errors(
        engine, again
    )


async def test_a_cancelled_import_leaves_what_was_imported_and_says_so(engine: Engine) -> None:
    rows = "".join(f"Client {n},N-{n}\n" for n in range(ROWS_PER_PART * 200))
    started = (await upload(engine, "name,number\n" + rows)).json()
    while (view := await engine.get(started["links"]["self"]))["processed"] == 0:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    answer = await engine.http.post(view["links"]["self"] + "/cancel")
    assert answer.status_code == 202, answer.text
    await engine.ended(started["execution_id"], 90)
    view = await engine.get(started["links"]["self"])
    assert view["status"] == "cancelled"
    there = (await counted(engine, "SELECT count(*) FROM clients"))[0][0]
    assert 0 < there == view["created"] == view["processed"] < view["total"]
    assert f"cancelled after {there} of {view['total']} rows" in view["message"]
    assert f"{there} created" in view["message"]
    assert (await engine.http.post(view["links"]["self"] + "/cancel")).status_code in (202, 409)


@pytest.mark.timeout(400)  # two processes start, each of which loads for seconds on a busy machine
async def test_a_worker_killed_in_the_middle_leaves_no_row_out_and_does_none_twice(
    idle_engine: Engine, engine_settings: Settings
) -> None:
    """kill -9 of the only worker while it writes."""
    engine, total = idle_engine, ROWS_PER_PART * 60
    relay = asyncio.create_task(engine.parts.relay.run())
    worker = await started_worker(engine_settings)
    try:
        rows = "".join(f"Client {n},N-{n},{n}@x.example\n" for n in range(total))
        started = (await upload(engine, "name,number,email\n" + rows)).json()
        async with asyncio.timeout(100):
            while (view := await engine.get(started["links"]["self"]))["processed"] == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert view["processed"] < total, "too few rows to be interrupted"
        worker.kill()
        await worker.wait()
        worker = await started_worker(engine_settings)
        await engine.ended(started["execution_id"], 180)
        view = await engine.get(started["links"]["self"])
    finally:
        worker.kill()
        await worker.wait()
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)
    assert [view[n] for n in ("status", "created", "failed")] == ["completed", total, 0]
    [there] = await counted(
        engine, "SELECT count(*), count(DISTINCT client_number), count(DISTINCT email) FROM clients"
    )
    assert tuple(there) == (total, total, total)
    [told] = await counted(engine, "SELECT count(*) FROM events WHERE type = 'client.created'")
    assert told[0] == total


async def started_worker(settings: Settings) -> asyncio.subprocess.Process:
    """A process of its own that does nothing but execute."""
    given = {
        "PERDURE_DATABASE_URL": settings.database_url,
        "PERDURE_TEMPORAL_ADDRESS": settings.temporal_address,
        "PERDURE_MASTER_KEYS": f"test:{SECRET}",
        "PERDURE_TOKEN_SECRET": SECRET,
        "PERDURE_PASSWORD_PEPPER": SECRET,
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "workers.node", "--roles", "worker"),
        env={**os.environ, **given},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def test_a_step_that_listens_hears_of_clients_made_over_the_api_and_by_imports(engine: Engine) -> None:
    listening = {
        "hear": {
            "listen": {
                "to": {
                    "all": [_to("client.created", "C-1"), _to("client.created", "C-2"), _to("client.changed")]
                },
                "read": "envelope",
            }
        }
    }
    id = (await engine.start(await engine.publish([listening])))["id"]
    await engine.waiting(id)
    made = await engine.http.post("/v1/clients", json={"name": "Ann", "client_number": "C-1"})
    await imported(engine, "name,number\nBob,C-2\nCid,C-3\n")
    change = await engine.http.patch(
        f"/v1/clients/{made.json()['id']}", json={"city": "Ulm"}, headers={"If-Match": made.headers["etag"]}
    )
    assert change.status_code == 200, change.text
    output = (await engine.ended(id, 60))["output"]
    heard = {(e["type"], e["data"]["client_number"]) for e in output}
    assert heard == {("client.created", "C-1"), ("client.created", "C-2"), ("client.changed", "C-1")}
    assert next(e for e in output if e["type"] == "client.changed")["data"]["changed"] == ["city"]


def _to(kind: str, number: str | None = None) -> dict[str, Any]:
    wanted: dict[str, Any] = {"type": kind, "source": "/perdure/clients"}
    return {"with": wanted | ({"data": f'${{ .client_number == "{number}" }}'} if number else {})}

"""Exports through the real worker and a real S3 server: everything of one moment, nothing secret, nothing in clear."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.exporting import Exporting
from api.app import create_app
from db.engine import create_engine
from db.exports import LEFT_OUT, goes_out
from db.session import Access, Role
from db.tables import metadata
from domain.blobs import BlobMissing
from domain.erasure import Subject
from domain.keys import Unreadable
from tests.factories import rows
from tests.workflows.engine import Engine, settings_for
from tests.workflows.test_erasure import erased, me, plan
from workers.devstack import ports
from workers.devstack.processes import Child
from workers.devstack.programs import S3
from workers.settings import Settings
from workers.sweeps import Sweeper
from workers.wiring import wire

SECRETS = {"PERDURE_S3_ACCESS_KEY": "perdure0001", "PERDURE_S3_SECRET_KEY": "s3/cr+t=" + "x" * 24}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    folder = tmp_path_factory.mktemp("s3")
    part = S3(folder, ports.any_free(), SECRETS)
    child = Child(asyncio.run(part.prepare()), folder / "s3.log")
    while not ports.answers(part.port):
        assert child.returncode is None, child.last_words()
    yield part
    asyncio.run(child.stop())


@pytest.fixture
def engine_settings(database_url: str, temporal_server: str, storage: S3) -> Settings:
    return settings_for(
        database_url,
        temporal_server,
        s3_bucket=storage.bucket,
        s3_endpoint=f"http://127.0.0.1:{storage.port}",
        s3_access_key=SECRETS["PERDURE_S3_ACCESS_KEY"],
        s3_secret_key=SECRETS["PERDURE_S3_SECRET_KEY"],
        sign_up="open",
    )


@pytest.fixture
async def behind(admin_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection that no policy restricts."""
    engine = create_engine(admin_url, pool_size=2)
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")
    await engine.dispose()


def path(engine: Engine) -> str:
    return f"/v1/organizations/{engine.organization_id}/exports"


async def export(engine: Engine) -> dict[str, Any]:
    """One that is ready."""
    started = await engine.post(path(engine), {})
    ended = await engine.ended(started["execution_id"], 60)
    assert ended["status"] == "completed", dict(ended)
    shown = await engine.get(f"{path(engine)}/{started['id']}")
    assert shown["status"] == "ready", shown
    return shown


async def fetched(engine: Engine, export: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The tables in the zip."""
    answer = await engine.http.get(f"{path(engine)}/{export['id']}/content")
    assert answer.status_code == 200, answer.text
    assert len(answer.content) == export["size"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        return {
            name.removesuffix(".jsonl"): [json.loads(line) for line in archive.read(name).splitlines()]
            for name in archive.namelist()
            if name.endswith(".jsonl")
        }


async def test_an_export_holds_what_its_reader_may_see_and_no_secret(
    engine: Engine, behind: AsyncConnection
) -> None:
    other = await rows.tenant(behind)
    client = await engine.post("/v1/clients", {"name": "Nordwind GmbH", "tax_id": "DE 123 456 789"})
    await engine.http.put("/v1/secrets/stripe", json={"value": "canary-secret-value"})
    key = await engine.post("/v1/me/api-keys", {"name": "a key", "scopes": ["clients:read"]})
    await engine.run([{"say": {"set": {"word": "hello"}}}])
    await engine.parts.blobs.put(f"{engine.organization_id}/deliveries/{uuid4()}", b"sealed")
    await engine.parts.blobs.put(f"{other['id']}/deliveries/{uuid4()}", b"not ours")

    shown = await export(engine)
    assert shown["contents"]["clients"] == 1
    assert shown["contents"]["objects"] == 1
    tables = await fetched(engine, shown)
    assert tables["clients"][0]["name"] == "Nordwind GmbH"
    assert tables["clients"][0]["tax_id"] == "DE 123 456 789"
    assert tables["clients"][0]["id"] == client["id"]
    assert [user["email"] for user in tables["users"]] == ["ada@example.com"]
    assert tables["workflow_executions"]
    assert [each["key"].split("/")[0] for each in tables["objects"]] == [str(engine.organization_id)]
    everything = json.dumps(tables)
    for canary in ("canary-secret-value", key["key"], key["key"].rpartition("_")[2], str(other["id"])):
        assert canary not in everything
    assert not LEFT_OUT.keys() & tables.keys()
    for rows_ in tables.values():
        for row in rows_:
            assert row.get("organization_id") in (None, str(engine.organization_id))
            assert not {name for name in row if "password" in name or name.endswith("_sha256")}


async def test_what_lies_in_the_store_opens_for_nobody_else(engine: Engine) -> None:
    shown = await export(engine)
    [piece] = await engine.parts.blobs.under(f"{engine.organization_id}/exports/{shown['id']}/")
    sealed = await engine.parts.blobs.get(piece.key)
    assert b"ada@example.com" not in sealed
    with pytest.raises(Unreadable):
        await engine.parts.keys.open(engine.organization_id, sealed, "exports.content-1/" + shown["id"])


async def test_all_of_it_speaks_of_one_moment(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """While tables are written one after the other, clients and their contacts come and go together."""
    organization_id, person = engine.organization_id, UUID((await engine.get("/v1/me"))["id"])
    member = Access(Role.API, organization_id, person)
    real = Exporting._note
    added = 0

    async def meanwhile(self: Exporting, *given: Any, **values: Any) -> None:
        nonlocal added
        await real(self, *given, **values)
        added += 1
        async with engine.parts.database.transaction(member) as tx:
            id = uuid4()
            await tx.execute(
                text("INSERT INTO clients (id, organization_id, name) VALUES (:id, :org, 'late')"),
                {"id": id, "org": organization_id},
            )
            await tx.execute(
                text(
                    "INSERT INTO contacts (organization_id, client_id, first_name, last_name) "
                    "VALUES (:org, :client, 'late', 'too')"
                ),
                {"client": id, "org": organization_id},
            )

    monkeypatch.setattr(Exporting, "_note", meanwhile)
    tables = await fetched(engine, await export(engine))
    assert added > 10
    assert tables["clients"] == []
    assert tables["contacts"] == []


async def test_a_worker_that_dies_while_writing_begins_again(
    engine: Engine, behind: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.exporting.PIECE", 2_000)
    for number in range(40):
        await rows.client(
            behind, engine.organization_id, name=f"client {number}", address="x" * 50 + str(uuid4())
        )
    services = engine.parts.activities._services
    real = services.exporting
    assert real is not None

    deaths = 0
    put = engine.parts.blobs.put

    async def dying(key: str, content: bytes) -> None:
        nonlocal deaths
        await put(key, content)
        if deaths < 2 and key.endswith("2"):
            deaths += 1
            raise ConnectionError("the process is killed in the middle")

    blobs = replace(real, blobs=_With(engine.parts.blobs, dying))  # type: ignore[arg-type]
    engine.parts.activities._services = replace(services, exporting=blobs)
    shown = await export(engine)
    assert deaths == 2
    tables = await fetched(engine, shown)
    assert sorted(each["name"] for each in tables["clients"]) == sorted(f"client {n}" for n in range(40))
    pieces = await engine.parts.blobs.under(f"{engine.organization_id}/exports/{shown['id']}/")
    assert len(pieces) > 3


class _With:
    """The real store with another `put`."""

    def __init__(self, real: Any, put: Any) -> None:
        self._real = real
        self.put = put

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


async def test_one_at_a_time_and_only_by_who_proved_lately_who_they_are(idle_engine: Engine) -> None:
    engine = idle_engine
    started = await engine.post(path(engine), {})
    again = await engine.http.post(path(engine), json={})
    assert (again.status_code, again.json()["code"]) == (409, "export_running")
    content = await engine.http.get(f"{path(engine)}/{started['id']}/content")
    assert (content.status_code, content.json()["code"]) == (409, "export_not_ready")
    key = await engine.post("/v1/me/api-keys", {"name": "a key", "scopes": ["organization:export"]})
    with_key = {"Authorization": f"Bearer {key['key']}"}
    assert (await engine.http.get(path(engine), headers=with_key)).status_code == 200
    for method, address in (("POST", path(engine)), ("GET", f"{path(engine)}/{started['id']}/content")):
        refused = await engine.http.request(method, address, headers=with_key)
        assert refused.status_code == 403, refused.text


async def test_an_export_expires_and_its_pieces_go(engine: Engine, behind: AsyncConnection) -> None:
    shown, kept = await export(engine), await export(engine)
    await behind.execute(
        text("UPDATE exports SET expires_at = now() - interval '1 second' WHERE id = :id"),
        {"id": shown["id"]},
    )
    late = await engine.http.get(f"{path(engine)}/{shown['id']}/content")
    assert (late.status_code, late.json()["code"]) == (409, "export_not_ready")
    await Sweeper(engine.parts.database, engine.parts.blobs, lambda: datetime.now(UTC)).sweep()
    assert not await engine.parts.blobs.under(f"{engine.organization_id}/exports/{shown['id']}/")
    assert (await engine.get(f"{path(engine)}/{shown['id']}"))["status"] == "expired"
    assert await fetched(engine, kept)
    removed = await engine.http.delete(f"{path(engine)}/{kept['id']}")
    assert removed.status_code == 204
    assert not await engine.parts.blobs.under(f"{engine.organization_id}/exports/")


async def test_whoever_is_no_member_any_more_gets_nothing(engine: Engine, behind: AsyncConnection) -> None:
    stranger = await rows.user(behind)
    row = await rows.row(
        behind, "exports", engine.organization_id, requested_by=stranger["id"], status="running"
    )
    exporting = engine.parts.activities._services.exporting
    assert exporting is not None
    assert not await exporting.write(engine.organization_id, row["id"])
    shown = await engine.get(f"{path(engine)}/{row['id']}")
    assert shown["status"] == "failed"
    with pytest.raises(BlobMissing):
        await engine.parts.blobs.get(f"{engine.organization_id}/exports/{row['id']}/000000")


def test_every_table_of_a_tenant_is_exported_or_left_out_for_a_reason() -> None:
    for table in metadata.sorted_tables:
        if "organization_id" in table.c and table.name not in LEFT_OUT:
            assert goes_out(table), table.name
    assert metadata.tables.keys() >= LEFT_OUT.keys()


async def test_without_storage_nothing_is_begun(database_url: str, temporal_server: str) -> None:
    parts = wire(settings_for(database_url, temporal_server, sign_up="open"), pool_size=2)
    transport = httpx2.ASGITransport(app=create_app(parts.api))
    async with httpx2.AsyncClient(transport=transport, base_url="http://perdure.test") as http:
        account = {
            "email": "ada@example.com",
            "password": "tidal ferns at dusk",
            "name": "Ada",
            "organization_name": "Acme",
        }
        made = (await http.post("/v1/auth/register", json=account)).json()
        http.headers["Authorization"] = f"Bearer {made['access_token']}"
        answer = await http.post(f"/v1/organizations/{made['organization']['id']}/exports", json={})
        assert (answer.status_code, answer.json()["code"]) == (409, "no_storage")
        assert "PERDURE_S3_BUCKET" in answer.json()["detail"]
    await parts.close()


async def test_erasing_the_organization_deletes_its_objects(engine: Engine) -> None:
    shown = await export(engine)
    assert await engine.parts.blobs.under(f"{engine.organization_id}/")
    id, execution_id = await plan(engine, Subject.ORGANIZATION, engine.organization_id, await me(engine))
    row = await erased(engine, id, execution_id)
    assert row["erased"]["objects"] == 1
    assert row["erased"]["exports"] == 1
    assert not await engine.parts.blobs.under(f"{engine.organization_id}/"), shown

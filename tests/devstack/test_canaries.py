"""What tenants write and keep secret is nowhere but where it belongs: a whole stack is searched for it.

Words of every kind go through executions that succeed, fail, wait, listen and call; afterwards Temporal's
database, all logs, the mail, every table and a dump are searched for each word in every form.
"""

import asyncio
import re
import subprocess
import time
from collections.abc import Callable
from mailbox import Maildir
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest

from tests.factories.canaries import Search, Sighting, canary
from workers.devstack import binaries, ports
from workers.devstack.stack import Stack

KINDS = ("input", "output", "title", "comment", "signal", "mail", "body", "error", "url", "step-error")
ENDED = {"completed", "failed", "cancelled", "terminated", "timed_out"}


class Tenant:
    """Somebody with an organization on the stack, who uses the product over HTTP alone."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def post(self, path: str, body: Any) -> Any:
        answer = await self.http.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def start(self, do: list[dict[str, Any]], input: Any) -> str:
        workflow = await self.post("/v1/workflows", {"name": "canaries", "definition": {"do": do}})
        await self.post(f"/v1/workflows/{workflow['id']}/publish", {})
        started = await self.post(f"/v1/workflows/{workflow['id']}/executions", {"input": input})
        return str(started["id"])

    async def until(self, id: str, happened: Callable[[Any], bool]) -> Any:
        ends = time.monotonic() + 60
        while True:
            row = (await self.http.get(f"/v1/executions/{id}")).json()
            if happened(row):
                return row
            assert time.monotonic() < ends, row
            await asyncio.sleep(0.1)

    async def ended(self, id: str) -> Any:
        return await self.until(id, lambda row: row["status"] in ENDED)


async def _signed_up(stack: Stack, http: httpx2.AsyncClient) -> None:
    account = {
        "email": "ada@example.com",
        "password": "tidal ferns at dusk",
        "name": "Ada",
        "organization_name": "Acme",
    }
    answer = (await http.post("/v1/auth/register", json=account)).json()
    await stack.adopt_demo_organization(UUID(answer["organization"]["id"]))  # it may call the echo service
    for _ in range(300):
        try:
            if (await http.get("/readyz")).is_success:
                break
        except httpx2.TransportError:
            pass  # the node is being restarted
        await asyncio.sleep(0.1)
    http.headers["Authorization"] = f"Bearer {answer['access_token']}"


async def _everything_that_can_happen(
    tenant: Tenant, partner: str, words: dict[str, str], secret: str
) -> None:
    answer = await tenant.http.put("/v1/secrets/partner", json={"value": secret})
    assert answer.is_success, answer.text
    credentials = {"X-Partner-Token": "${ $secrets.partner }"}
    mail = {"to": "client@example.com", "subject": "Hello", "text": "Dear ${ .mail }"}
    call = {
        "method": "post",
        "endpoint": f"{partner}/records",
        "body": {"note": "${ .body }"},
        "headers": credentials,
    }
    happy = await tenant.start(
        [
            {"write": {"call": "email.send", "with": mail, "output": {"as": "$workflow.input"}}},
            {"tell": {"call": "http", "with": call, "output": {"as": "$workflow.input"}}},
            {
                "ask": {
                    "call": "approve",
                    "with": {"title": "About ${ .title }"},
                    "output": {"as": "$workflow.input"},
                }
            },
            {
                "hear": {
                    "listen": {"to": {"one": {"with": {"type": "paid"}}}},
                    "output": {"as": "$workflow.input"},
                }
            },
            {"rest": {"wait": {"milliseconds": 50}}},
            {"keep": {"set": {"result": "${ .output }"}}},
        ],
        words,
    )
    waiting = await tenant.until(happy, lambda row: (row["waiting_on"] or {}).get("task_id"))
    await tenant.post(
        f"/v1/tasks/{waiting['waiting_on']['task_id']}/decision",
        {"outcome": "approved", "comment": words["comment"]},
    )
    await tenant.post(f"/v1/executions/{happy}/signal", {"type": "paid", "data": {"by": words["signal"]}})
    row = await tenant.ended(happy)
    assert row["status"] == "completed", row
    assert row["output"] == {"result": words["output"]}

    calls = {
        "expression": {"set": {"x": "${ .error | tonumber }"}},
        "refused by the partner": {
            "call": "http",
            "with": {
                "method": "post",
                "endpoint": f"{partner}/status/500",
                "headers": credentials,
                "body": "${ . }",
            },
        },
        "no such host": {
            "call": "http",
            "with": {
                "method": "get",
                "endpoint": '${ "https://" + .url + ".invalid/" }',
                "headers": credentials,
            },
        },
        "no such address": {
            "call": "email.send",
            "with": {"to": '${ .["step-error"] }', "subject": "${ .mail }", "text": "x"},
        },
        "too long for its column": {
            "call": "client.create",
            "with": {"name": "${ .input * 100 }", "email": "${ .error }"},
        },
        "secret in an error": {"set": {"x": "${ .error | error }"}},
    }
    for name, step in calls.items():
        row = await tenant.ended(await tenant.start([{name: step}], words))
        assert row["status"] == "failed", (name, row)


async def _comes_back(stack: Stack, http: httpx2.AsyncClient) -> list[str]:
    """A password is forgotten and replaced through the mail's page; the words that nothing may keep."""
    password = canary("password")
    await http.post("/v1/auth/forgot-password", json={"email": "ada@example.com"})
    token = await _mailed(Path(stack.files["mail"]), "Choose a new password")
    page = await http.get("/reset-password", params={"token": token})
    assert page.is_success
    assert token in page.text
    form = {"token": token, "password": password}
    done = await http.post("/reset-password", data=form, headers={"Origin": "null"})
    assert done.is_success, done.text
    await _mailed(Path(stack.files["mail"]), "Your password was changed")
    login = await http.post("/v1/auth/login", json={"email": "ada@example.com", "password": password})
    assert login.is_success, login.text
    tokens = login.json()
    await http.post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    return [password, token, tokens["refresh_token"], tokens["access_token"]]


async def _mailed(folder: Path, subject: str) -> str:
    """The token in the mail of this subject, or nothing where it has none."""
    for _ in range(300):
        for message in Maildir(folder):
            if message["Subject"] == subject:
                text = next(part for part in message.walk() if part.get_content_type() == "text/plain")
                written = text.get_payload(decode=True).decode()  # type: ignore[union-attr]
                found = re.search(r"token=([\w-]+)", written)
                return found[1] if found else ""
        await asyncio.sleep(0.1)
    raise AssertionError(f"no mail said {subject!r}")


async def _dump(stack: Stack, place: Path) -> None:
    """A dump as an administrator takes it."""
    program = binaries.postgres_binary().parent / "pg_dump"
    url = stack.admin_url.replace("+asyncpg", "")
    done = await asyncio.to_thread(
        subprocess.run,
        [str(program), "--inserts", "-f", str(place), url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _told(sightings: list[Sighting]) -> str:
    return "\n".join(
        sorted({f"{sighting.word} ({sighting.form}) in {sighting.where}" for sighting in sightings})
    )


@pytest.mark.timeout(300)
async def test_nothing_a_tenant_writes_is_where_it_does_not_belong(data_dir: Path, tmp_path: Path) -> None:
    words, secret = {kind: canary(kind) for kind in KINDS}, canary("secret")
    everything, secrets = Search([*words.values(), secret]), Search([secret])
    async with Stack(data_dir, port=ports.any_free(), settings={"PERDURE_SIGN_UP": "open"}) as stack:
        async with httpx2.AsyncClient(base_url=stack.urls["api"], timeout=60, trust_env=False) as http:
            await _signed_up(stack, http)
            await _everything_that_can_happen(Tenant(http), stack.urls["echo"], words, secret)
            private = Search(proofs := await _comes_back(stack, http))
        await _dump(stack, tmp_path / "dump.sql")
        in_tables = await secrets.in_database(stack.admin_url)
        in_tables += await private.in_database(stack.admin_url)
        known = await Search([words["input"]]).in_database(stack.admin_url)
        temporal = Path(stack.files["temporal"]).parent
        while_running = everything.in_folder(temporal)  # the journal beside the database holds the latest
    assert known, "the search finds what is there: the input is in its row"
    assert Search([words["mail"]]).in_folder(Path(stack.files["mail"])), (
        "and the mail holds what it was to say"
    )
    assert Search([words["input"]]).in_file(tmp_path / "dump.sql")
    assert not while_running, _told(while_running)
    for found in (
        everything.in_folder(temporal),
        everything.in_folder(Path(stack.files["logs"])),
        secrets.in_folder(Path(stack.files["mail"])),
        secrets.in_folder(data_dir / "postgres"),
        private.in_folder(temporal),
        private.in_folder(Path(stack.files["logs"])),
        private.in_folder(data_dir / "postgres"),
        private.in_file(tmp_path / "dump.sql"),
        # The mail holds its own link, and nothing else that proves who somebody is.
        Search([word for word in proofs if word != proofs[1]]).in_folder(Path(stack.files["mail"])),
        secrets.in_file(tmp_path / "dump.sql"),
        in_tables,
    ):
        assert not found, _told(found)


def test_a_word_is_found_however_it_is_written() -> None:
    import base64
    import json

    word = canary("x")
    search = Search([word])
    for before in range(7):
        text = b"a" * before + word.encode() + b"tail"
        assert search.in_bytes(base64.b64encode(text), "")
        assert search.in_bytes(base64.urlsafe_b64encode(text), "")
        assert search.in_bytes(text.hex().encode(), "")
        assert not search.in_bytes(base64.b64encode(text.replace(b"canary", b"sparow")), "")
    assert search.in_bytes(json.dumps({"a": json.dumps({"b": word})}).encode(), "")
    assert search.in_bytes("".join(f"\\u{ord(c):04x}" for c in word).encode(), "")
    assert not search.in_bytes(canary("x").encode(), "")


async def test_a_word_in_any_column_is_found(admin_url: str) -> None:
    word = canary("column")
    connection = await asyncpg.connect(admin_url.replace("+asyncpg", ""))
    await connection.execute("CREATE TABLE odd (a bytea, b jsonb, c text[])")
    await connection.execute("INSERT INTO odd VALUES ($1, NULL, NULL)", b"\x00" + word.encode())
    await connection.close()
    assert [sighting.where for sighting in await Search([word]).in_database(admin_url)] == ["table odd"]

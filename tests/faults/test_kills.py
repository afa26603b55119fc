"""kill -9 of the node while executions are under way: every accepted trigger ends exactly once.

Short in `make test`; `PERDURE_KILLS` and `PERDURE_EXECUTIONS` make it longer, `PERDURE_SEED` repeats a run.
"""

import asyncio
import email
import json
import os
import random
import secrets
import signal
import tempfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import text
from temporalio.client import Client, WorkflowExecutionStatus

from db.session import Access, Database, Role
from domain.executions import ExecutionStatus
from workers.devstack.stack import Stack

KILLS = int(os.environ.get("PERDURE_KILLS", "6"))
EXECUTIONS = int(os.environ.get("PERDURE_EXECUTIONS", "30"))
SEED = int(os.environ.get("PERDURE_SEED", "20261122"))
#: What Temporal calls the same end.
SAME = {
    WorkflowExecutionStatus.COMPLETED: ExecutionStatus.COMPLETED,
    WorkflowExecutionStatus.FAILED: ExecutionStatus.FAILED,
    WorkflowExecutionStatus.CANCELED: ExecutionStatus.CANCELLED,
    WorkflowExecutionStatus.TERMINATED: ExecutionStatus.TERMINATED,
    WorkflowExecutionStatus.TIMED_OUT: ExecutionStatus.TIMED_OUT,
}


def definition(partner: str) -> dict[str, Any]:
    return {
        "document": {"dsl": "1.0.3", "namespace": "tests", "name": "killed", "version": "1.0.0"},
        "do": [
            {"number it": {"set": {"n": "${ .n }"}}},
            {
                "create": {
                    "call": "client.create",
                    "with": {"name": "Client ${ .n }"},
                    "output": {"as": "{id, n: $workflow.input.n}"},
                }
            },
            {
                "write": {
                    "call": "email.send",
                    "with": {"to": "c${ .n }@example.com", "subject": "Client ${ .n }", "text": "Hello"},
                    "output": {"as": "{n: $workflow.input.n}"},
                }
            },
            {"pause": {"wait": {"milliseconds": 300}}},
            {
                "repeat": {
                    "for": {"in": "[1, 2, 3]"},
                    "do": [
                        {
                            "tell": {
                                "call": "http",
                                "with": {
                                    "method": "post",
                                    "endpoint": partner,
                                    "idempotent": True,
                                    "body": {"n": "${ $workflow.input.n }", "round": "${ $item }"},
                                },
                                "output": {"as": "{n: $workflow.input.n}"},
                            }
                        }
                    ],
                }
            },
            {"done": {"set": {"n": "${ .n }", "done": True}}},
        ],
    }


@dataclass
class Field:
    """The stack under fire and who acts on it."""

    stack: Stack
    http: httpx2.AsyncClient
    chance: random.Random

    async def call(self, method: str, path: str, body: Any = None, key: str | None = None) -> dict[str, Any]:
        """As a careful integrator does: repeat with the same key until an answer comes."""
        headers = {} if key is None else {"Idempotency-Key": key}
        for _ in range(240):
            try:
                answer = await self.http.request(method, path, json=body, headers=headers)
            except httpx2.TransportError:
                await asyncio.sleep(0.25)
                continue
            if answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
                await asyncio.sleep(0.25)
                continue
            assert not answer.is_error, f"{method} {path}: {answer.status_code} {answer.text}"
            parsed: dict[str, Any] = answer.json()
            return parsed
        raise AssertionError(f"{method} {path} was not answered in a minute")

    async def kill(self) -> None:
        """Kill the node at a moment of its life that the seed decides, the start of it included."""
        before = self.stack.supervisor.watched["node"].child.identity.pid
        os.kill(before, signal.SIGKILL)
        while self.stack.supervisor.watched["node"].child.identity.pid == before:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        if self.chance.random() < 0.8:  # otherwise the next kill may come while the node is still starting
            await self.serving()
        await asyncio.sleep(self.chance.uniform(0.0, 2.5))

    async def serving(self) -> None:
        while True:
            try:
                if (await self.http.get("/healthz")).status_code == httpx2.codes.OK:
                    return
            except httpx2.TransportError:
                pass  # not listening yet
            await asyncio.sleep(0.1)


@pytest.fixture
async def field() -> AsyncIterator[Field]:
    with tempfile.TemporaryDirectory(prefix="perdure-kills-", ignore_cleanup_errors=True) as folder:
        async with (
            Stack(Path(folder)) as stack,
            httpx2.AsyncClient(base_url=stack.urls["api"], timeout=20, trust_env=False) as http,
        ):
            field = Field(stack, http, random.Random(SEED))
            registered = await field.call(
                "POST",
                "/v1/auth/register",
                {
                    "email": "ada@example.com",
                    "password": "tidal ferns at dusk",
                    "name": "Ada",
                    "organization_name": "Acme",
                },
            )
            organization = UUID(registered["organization"]["id"])
            bearer = {"Authorization": f"Bearer {registered['access_token']}"}
            scopes = [
                *("workflows:read", "workflows:write", "workflows:publish"),
                *("executions:read", "executions:start"),
            ]
            made = await http.post("/v1/me/api-keys", json={"name": "t", "scopes": scopes}, headers=bearer)
            http.headers["Authorization"] = f"Bearer {made.json()['key']}"
            await stack.adopt_demo_organization(organization)
            yield field


@pytest.mark.timeout(900)
async def test_every_accepted_trigger_ends_exactly_once(field: Field) -> None:
    print(f"seed {SEED}: {KILLS} kills, {EXECUTIONS} executions")
    partner = f"{field.stack.urls['echo']}/records"
    created = await field.call("POST", "/v1/workflows", {"name": "killed", "definition": definition(partner)})
    await field.call("POST", f"/v1/workflows/{created['id']}/publish", {})
    path = f"/v1/workflows/{created['id']}/executions"
    accepted: list[str] = []

    async def trigger() -> None:
        for number in range(EXECUTIONS):
            answer = await field.call("POST", path, {"input": {"n": number}}, secrets.token_hex(8))
            accepted.append(answer["id"])
            await asyncio.sleep(field.chance.uniform(0, 4.0 * KILLS / EXECUTIONS))

    triggering = asyncio.create_task(trigger())
    for _ in range(KILLS):
        await field.kill()
    await triggering

    rows = await _ended(field.stack, EXECUTIONS)
    assert {str(row["id"]) for row in rows} == set(accepted)
    assert Counter(row["status"] for row in rows) == {"completed": EXECUTIONS}, _failures(rows)
    await _mirror_is_temporal(field.stack, rows)
    _each_mail_once(field.stack)
    _no_key_with_two_effects(field.stack)


async def _ended(stack: Stack, expected: int) -> list[dict[str, Any]]:
    database = Database(stack.database_url, pool_size=1)
    try:
        for _ in range(600):
            async with database.transaction(Access(Role.SYSTEM)) as tx:
                query = text(
                    "SELECT id, status, temporal_workflow_id, output, error_message, completed_at"
                    " FROM workflow_executions"
                )
                rows = [dict(row) for row in (await tx.execute(query)).mappings()]
                pending = await tx.scalar(text("SELECT count(*) FROM outbox WHERE dispatched_at IS NULL"))
            if len(rows) == expected and all(row["completed_at"] for row in rows) and not pending:
                return rows
            await asyncio.sleep(0.2)
    finally:
        await database.close()
    raise AssertionError(f"not ended after two minutes: {Counter(row['status'] for row in rows)}, {pending=}")


def _failures(rows: list[dict[str, Any]]) -> list[str]:
    return [row["error_message"] for row in rows if row["status"] != "completed"]


async def _mirror_is_temporal(stack: Stack, rows: list[dict[str, Any]]) -> None:
    client = await Client.connect(stack.urls["temporal"])
    for row in rows:
        handle = client.get_workflow_handle(row["temporal_workflow_id"])
        description = await handle.describe()
        for _ in range(100):
            if description.close_time is not None:
                break
            await asyncio.sleep(0.1)
            description = await handle.describe()
        assert description.status is not None
        assert SAME.get(description.status) == row["status"], row


def _each_mail_once(stack: Stack) -> None:
    """A repeat after a crash is the same message: as many Message-IDs as send steps, one per recipient."""
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for file in (Path(stack.files["mail"]) / "new").iterdir():
        message = email.message_from_bytes(file.read_bytes())
        ids[message["To"]].add(message["Message-ID"])
    assert len(ids) == EXECUTIONS
    assert {len(found) for found in ids.values()} == {1}


def _no_key_with_two_effects(stack: Stack) -> None:
    """Counted where the effects arrive: one key, one body; and every round of every execution arrived."""
    bodies: defaultdict[str, set[str]] = defaultdict(set)
    seen: set[tuple[int, int]] = set()
    for line in Path(stack.files["echo_ledger"]).read_text().splitlines():
        entry = json.loads(line)
        bodies[entry["idempotency_key"]].add(entry["body_sha256"])
        body = entry["body"] if isinstance(entry["body"], dict) else json.loads(entry["body"])
        seen.add((body["n"], body["round"]))
    assert {len(found) for found in bodies.values()} == {1}
    assert len(bodies) == len(seen) == EXECUTIONS * 3

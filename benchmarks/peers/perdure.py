"""Perdure as it is shipped: the embedded stack with fsync on, one node, a stored definition started over HTTP.

Every request carries an API key and waits for the result (`Prefer: wait`); mirror, row level security and whatever
else the node does by default are on, because nothing is configured here.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from benchmarks import load
from benchmarks.line import Line, prepare
from benchmarks.peers.serving import Handlers, serve
from workers.devstack.stack import Stack

STEPS = (5, 40)
SCOPES = (
    *("workflows:read", "workflows:write", "workflows:publish"),
    *("executions:read", "executions:start"),
)


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organization with an API key and its own published workflows, by number of steps."""

    api: str
    name: str
    organization_id: str
    key: str
    workflows: dict[int, str]

    def start(self, steps: int, prefer: str = "wait=30") -> bytes:
        path = f"/v1/workflows/{self.workflows[steps]}/executions"
        return prepare("POST", path, urlsplit(self.api).netloc, self.key, {"input": {}}, prefer)

    async def lines(self, count: int) -> list[Line]:
        address = urlsplit(self.api)
        return [await Line.open(address.hostname or "", address.port or 0) for _ in range(count)]

    async def measure(self, steps: int, concurrency: int, count: int) -> load.Sample:
        """Start `count` executions, each from one of `concurrency` users, and wait for each result."""
        request, lines = self.start(steps), await self.lines(concurrency)

        async def run(number: int) -> None:
            status, body = await lines[number].ask(request)
            if status != httpx2.codes.OK or json.loads(body)["status"] != "completed":
                raise RuntimeError(f"an execution was answered with {status}: {body[:300]!r}")

        try:
            return await load.by_tasks(run, concurrency, count)
        finally:
            for line in lines:
                line.close()


def definition(steps: int) -> dict[str, Any]:
    return {
        "do": [
            {
                f"line {number}": {
                    "call": "data.template",
                    "with": {"text": "{{ n }}", "values": {"n": number}},
                }
            }
            for number in range(1, steps + 1)
        ]
    }


async def register(api: str, name: str) -> Tenant:
    async with httpx2.AsyncClient(base_url=api, timeout=60, trust_env=False) as http:

        async def post(path: str, body: Any) -> Any:
            answer = await http.post(path, json=body)
            if answer.is_error:
                raise RuntimeError(f"POST {path}: {answer.status_code} {answer.text}")
            return answer.json()

        person = {"email": f"{name}@bench.example", "password": "tidal ferns at dusk", "name": name}
        registered = await post("/v1/auth/register", {**person, "organization_name": name})
        http.headers["Authorization"] = f"Bearer {registered['access_token']}"
        key = (await post("/v1/me/api-keys", {"name": "bench", "scopes": SCOPES}))["key"]
        http.headers["Authorization"] = f"Bearer {key}"
        workflows = {}
        for steps in STEPS:
            made = await post("/v1/workflows", {"name": f"{steps} steps", "definition": definition(steps)})
            await post(f"/v1/workflows/{made['id']}/publish", {})
            workflows[steps] = made["id"]
        return Tenant(api, name, registered["organization"]["id"], key, workflows)


@asynccontextmanager
async def peer(folder: Path) -> AsyncIterator[Handlers]:
    async with Stack(folder) as stack:
        tenant = await register(stack.urls["api"], "acme")

        async def measure(steps: int, concurrency: int, count: int) -> Any:
            return (await tenant.measure(steps, concurrency, count)).as_json()

        yield {"measure": measure}


if __name__ == "__main__":
    serve(peer)

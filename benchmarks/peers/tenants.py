"""An organization of Perdure with its API key and workflows, and what its users ask for."""

import json
from collections.abc import Container
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from benchmarks import load
from benchmarks.line import Line, prepare

SCOPES = (
    *("workflows:read", "workflows:write", "workflows:publish"),
    *("executions:read", "executions:start"),
)
FINISHED = (httpx2.codes.OK,)
WAITS = 2


def steps(count: int) -> dict[str, Any]:
    """`count` short built-in steps."""
    template = {"call": "data.template", "with": {"text": "{{ n }}", "values": {"n": 0}}}
    return {"do": [{f"line {number}": template} for number in range(1, count + 1)]}


DEFINITIONS = {
    "5": steps(5),
    "40": steps(40),
    "waits": {"do": [{f"pause {n}": {"wait": {"milliseconds": 10}}} for n in range(1, WAITS + 1)]},
}


@dataclass(frozen=True, slots=True)
class Tenant:
    """`workflows` by the names of DEFINITIONS; `accepted` are the answers that say an execution has ended."""

    api: str
    organization_id: str
    key: str
    workflows: dict[str, str]
    accepted: Container[int] = FINISHED

    def starting(self, name: str, prefer: str = "wait=30") -> bytes:
        """Return the request that starts an execution."""
        path = f"/v1/workflows/{self.workflows[name]}/executions"
        return prepare("POST", path, urlsplit(self.api).netloc, self.key, {"input": {}}, prefer)

    async def lines(self, count: int) -> list[Line]:
        address = urlsplit(self.api)
        return [await Line.open(address.hostname or "", address.port or 0) for _ in range(count)]

    async def run(self, line: Line, request: bytes) -> Any:
        """Send a request and return the answer's body; raises RuntimeError unless the execution completed."""
        status, body = await line.ask(request)
        answer = json.loads(body)
        if status not in self.accepted or answer["status"] not in ("completed", "queued"):
            raise RuntimeError(f"an execution was answered with {status}: {body[:300]!r}")
        return answer

    async def measure(self, name: str, concurrency: int, count: int) -> load.Sample:
        """Start `count` executions, each by one of `concurrency` users who waits for its result."""
        request, lines = self.starting(name), await self.lines(concurrency)

        async def run(number: int) -> None:
            await self.run(lines[number], request)

        try:
            return await load.by_tasks(run, concurrency, count)
        finally:
            for line in lines:
                line.close()


#: Tenants of a benchmark have no mailbox to prove.
OPEN = {"PERDURE_SIGN_UP": "open"}


async def register(api: str, name: str, accepted: Container[int] = FINISHED) -> Tenant:
    """Sign up as anybody would, and publish DEFINITIONS."""
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
        for title, definition in DEFINITIONS.items():
            made = await post("/v1/workflows", {"name": title, "definition": definition})
            await post(f"/v1/workflows/{made['id']}/publish", {})
            workflows[title] = made["id"]
        return Tenant(api, registered["organization"]["id"], key, workflows, accepted)

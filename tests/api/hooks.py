"""Workflows with a webhook trigger, and senders for it."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2

from domain.webhooks.configuration import Configuration
from domain.webhooks.schemes import scheme_of
from tests.api.house import GREETING, House

#: 32 bytes, as Standard Webhooks wants them.
SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSBob29rIG9mIHRoZSB0ZXN0cyE="
STANDARD = {"scheme": "standard-webhooks"}


@dataclass
class Sender:
    """A provider: knows the address and signs what it sends."""

    http: httpx2.AsyncClient
    workflow_id: str
    trigger_id: str
    url: str
    configuration: dict[str, Any] = field(default_factory=dict)
    secret: str = SECRET

    @property
    def path(self) -> str:
        return "/v1/hooks/" + self.url.rpartition("/")[2]

    def signed(self, body: bytes, event_id: str, now: int | None = None) -> dict[str, str]:
        scheme = scheme_of(Configuration.parse(self.configuration))
        return scheme.sign(body, self.secret, event_id, int(time.time()) if now is None else now)

    async def send(
        self,
        content: Any = None,
        *,
        event_id: str = "evt-1",
        now: int | None = None,
        body: bytes | None = None,
        method: str = "POST",
        query: str = "",
        **headers: str,
    ) -> httpx2.Response:
        raw = json.dumps({} if content is None else content).encode() if body is None else body
        sent = {
            "content-type": "application/json",
            **self.signed(raw, event_id, now),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return await self.http.request(method, self.path + query, content=raw, headers=sent)


async def hooked(
    house: House, configuration: Any = None, *, secret: str | None = SECRET, definition: Any = None
) -> Sender:
    """A published workflow with one webhook trigger, whose secret is set."""
    configuration = configuration or STANDARD
    trigger = {"type": "webhook", "name": "orders", "configuration": configuration}
    workflow_id = await house.published(definition or GREETING, triggers=[trigger])
    return await sender(house, workflow_id, configuration, secret)


async def sender(house: House, workflow_id: str, configuration: Any, secret: str | None = SECRET) -> Sender:
    listed = (await house.owner.get(f"/v1/workflows/{workflow_id}/triggers")).json()["items"]
    found = next(each for each in listed if each["name"] == "orders")
    if secret is not None:
        done = await house.owner.post(f"/v1/triggers/{found['id']}/rotate-secret", {"secret": secret})
        assert done.status_code == 200, done.text
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=house.app), base_url="http://test")
    return Sender(http, workflow_id, found["id"], found["url"], configuration, secret or SECRET)


async def ledger(house: House) -> list[dict[str, Any]]:
    """Oldest first."""
    answer = await house.owner.get("/v1/deliveries?limit=200")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items[::-1]


async def verdicts(house: House) -> list[str]:
    return [each["verdict"] for each in await ledger(house)]

"""The public services the conformance kit calls, in memory behind the real HTTP action."""

import asyncio
import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from activities.actions.context import ActionContext, Mailer, Services
from activities.actions.registry import built_in
from activities.gateways.http_client import GuardedHttpClient
from activities.gateways.http_messages import HttpRequest, HttpResponse
from domain.addresses import AddressPolicy

_PETS = {number: {"id": number, "name": f"pet {number}", "status": "available"} for number in (1, 2)}
_NOBODY = UUID(int=0)


class Petstore:
    """Answers as `petstore.swagger.io` and `httpbin.org` do, for the few addresses of the kit."""

    async def send(
        self, request: HttpRequest, policy: AddressPolicy, *, follow_redirects: bool = False
    ) -> HttpResponse:
        url = urlsplit(request.url)
        status, content = self._answer(url.netloc, url.path, parse_qs(url.query), dict(request.headers))
        headers = (("Content-Type", "application/json"),)
        body = json.dumps(content).encode()
        return HttpResponse(
            status, "OK" if status == 200 else "Not Found", headers, body, request.method, request.url
        )

    def _answer(
        self, host: str, path: str, query: dict[str, list[str]], headers: dict[str, str]
    ) -> tuple[int, Any]:
        match host, path.split("/")[1:]:
            case "petstore.swagger.io", ["v2", "pet", "findByStatus"]:
                return 200, [pet for pet in _PETS.values() if pet["status"] in query.get("status", [])]
            case "petstore.swagger.io", ["v2", "pet", number] if number.isdecimal() and int(number) in _PETS:
                return 200, _PETS[int(number)]
            case "httpbin.org", ["basic-auth", user, password]:
                expected = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
                return (200 if headers.get("Authorization") == expected else 401), {"user": user}
        return 404, {"message": "not found"}


def request(arguments: Any) -> Any:
    """Run the real action of `call: http` against these services. Raises its faults."""
    services = Services(
        http=cast(GuardedHttpClient, Petstore()),
        mail=cast(Mailer, None),
        http_policy=lambda organization: AddressPolicy(),
    )
    context = ActionContext(
        organization_id=_NOBODY,
        execution_id=_NOBODY,
        occurrence="/do/0/call#1",
        started_by=None,
        effect_key="key",
        now=datetime(2026, 1, 1, tzinfo=UTC),
        connection=None,
        services=services,
    )
    return asyncio.run(built_in().run("http.request", "1.0.0", context, arguments))

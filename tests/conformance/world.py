"""The services that scenarios call: those of the conformance kit and `world.test`, behind the real HTTP action.

Answers depend on the request alone, so that an execution whose worker was killed hears the same again.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from activities.gateways.http_messages import HttpRequest, HttpResponse
from domain.addresses import AddressPolicy

SECRET = "s3cr3t-4711"
_PETS = {number: {"id": number, "name": f"pet {number}", "status": "available"} for number in (1, 2)}
_SWAGGER = {
    "swagger": "2.0",
    "info": {"title": "Pets", "version": "1.0.0"},
    "host": "petstore.swagger.io",
    "basePath": "/v2",
    "schemes": ["https"],
    "paths": {
        "/pet/findByStatus": {
            "get": {
                "operationId": "findPetsByStatus",
                "parameters": [
                    {
                        "name": "status",
                        "in": "query",
                        "required": True,
                        "type": "array",
                        "items": {"type": "string"},
                        "collectionFormat": "multi",
                    }
                ],
                "responses": {"200": {"description": "pets"}},
            }
        },
        "/pet/{petId}": {
            "get": {
                "operationId": "getPetById",
                "parameters": [{"name": "petId", "in": "path", "required": True, "type": "integer"}],
                "responses": {"200": {"description": "a pet"}},
            }
        },
    },
}
_REASONS = {200: "OK", 302: "Found", 401: "Unauthorized", 404: "Not Found", 500: "Broken", 503: "Busy"}


class World:
    """In the place of the HTTP client: what leaves the real action arrives here. `sleep` takes seconds."""

    def __init__(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self._sleep = sleep

    async def send(
        self, request: HttpRequest, policy: AddressPolicy, *, follow_redirects: bool = False, **more: Any
    ) -> HttpResponse:
        status, content, headers = await self._answer(request)
        if status == 302 and follow_redirects:
            return await self.send(
                HttpRequest("GET", headers["Location"], request.headers, None), policy, follow_redirects=True
            )
        told = tuple({"Content-Type": "application/json", **headers}.items())
        body = json.dumps(content).encode()
        return HttpResponse(status, _REASONS[status], told, body, request.method, request.url)

    async def _answer(self, request: HttpRequest) -> tuple[int, Any, dict[str, str]]:
        url = urlsplit(request.url)
        query = dict(parse_qsl(url.query))
        headers = {name.lower(): value for name, value in request.headers}
        match url.netloc, url.path.split("/")[1:]:
            case "world.test", ["slow"]:
                await self._sleep(int(query["ms"]) / 1000)
                return 200, {"slow": True}, {}
            case "world.test", path:
                return self._world(path, query, headers)
            case "petstore.swagger.io", ["v2", "swagger.json"]:
                return 200, _SWAGGER, {}
            case "petstore.swagger.io", ["v2", "pet", "findByStatus"]:
                return 200, [pet for pet in _PETS.values() if pet["status"] == query.get("status")], {}
            case "petstore.swagger.io", ["v2", "pet", number] if number.isdecimal() and int(number) in _PETS:
                return 200, _PETS[int(number)], {}
            case "httpbin.org", ["basic-auth", user, password]:
                expected = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
                return (200 if headers.get("authorization") == expected else 401), {"user": user}, {}
        return 404, {"message": "not found"}, {}

    def _world(
        self, path: list[str], query: dict[str, str], headers: dict[str, str]
    ) -> tuple[int, Any, dict[str, str]]:
        match path:
            case ["double"]:
                return 200, {"result": 2 * int(query["n"])}, {}
            case ["status", code]:
                return int(code), {"message": f"status {code}"}, {}
            case ["until"]:
                reached = int(query["reached"])
                return (200 if reached >= int(query["wanted"]) else 503), {"reached": reached}, {}
            case ["moved"]:
                return 302, {}, {"Location": "https://world.test/here"}
            case ["here"]:
                return 200, {"moved": True}, {}
            case ["expression"]:
                return 200, {"text": "${ 1 + 1 }"}, {}
            case ["echo"]:
                return 200, {"query": query, "headers": headers}, {}
            case ["path", *rest]:
                return 200, {"path": "/path/" + unquote("/".join(rest))}, {}
            case ["secret"]:
                return (200 if headers.get("x-token") == SECRET else 401), {"known": True}, {}
            case ["bearer"]:
                return (
                    (200 if headers.get("authorization") == f"Bearer {SECRET}" else 401),
                    {"known": True},
                    {},
                )
        return 404, {"message": "not found"}, {}

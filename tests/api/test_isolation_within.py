"""Foreign ids in bodies and queries, lists, cursors: found in the OpenAPI document, so that a new place needs a line.

What `test_isolation.py` does for ids in paths.
"""

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import metadata
from db.tenants import SHIPPED_ROLES
from domain.permissions import RoleName
from tests.api.conftest import Account, World
from tests.api.test_isolation import DEFINITION, METHODS, SUBJECTS, document, snapshot, the_row
from tests.factories import rows

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)")
_CURSOR = re.compile(r'"next_cursor":"([^"]+)"')


@dataclass(frozen=True)
class Place:
    """Whose id stands there, and the rest of a request that is fine."""

    table: str
    body: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    key: str = "id"
    given: dict[str, Any] = field(default_factory=dict)


CLIENT = {"name": "Lind"}
CONTACT = {"first_name": "Mara", "last_name": "Lind"}
WORKFLOW = {"name": "w", "definition": DEFINITION}
COUNT: dict[str, Any] = {"action": "cancel"}
BULK: dict[str, Any] = {"expected": 1}
MEMBER = str(SHIPPED_ROLES[RoleName.MEMBER])
#: Operation and place → what is tried there.
PLACES = {
    "audit_export_start body/user_id": Place("users", {"format": "jsonl"}),
    "audit_list query/user_id": Place("users"),
    "bulk_cancel body/filters/ids/0": Place("workflow_executions", BULK),
    "bulk_cancel body/filters/parent_id": Place("workflow_executions", BULK),
    "bulk_cancel body/filters/workflow_id": Place("workflows", BULK),
    "bulk_count body/filters/ids/0": Place("workflow_executions", COUNT),
    "bulk_count body/filters/parent_id": Place("workflow_executions", COUNT),
    "bulk_count body/filters/workflow_id": Place("workflows", COUNT),
    "bulk_rerun body/filters/ids/0": Place("workflow_executions", BULK),
    "bulk_rerun body/filters/parent_id": Place("workflow_executions", BULK),
    "bulk_rerun body/filters/workflow_id": Place("workflows", BULK),
    "clients_change body/assigned_manager": Place("users"),
    "clients_create body/assigned_manager": Place("users", CLIENT),
    "clients_exports_start body/assigned_manager": Place("users"),
    "contacts_change body/client_id": Place("clients"),
    "contacts_create body/client_id": Place("clients", CONTACT),
    "contacts_exports_start body/client_id": Place("clients"),
    "contacts_list query/client_id": Place("clients"),
    "deliveries_list query/trigger_id": Place("triggers"),
    "executions_list query/parent_id": Place("workflow_executions"),
    "executions_list query/rerun_of_id": Place("workflow_executions"),
    "executions_list query/workflow_id": Place("workflows"),
    "expressions_evaluate body/execution/id": Place("workflow_executions", {"expression": "."}),
    "identity_prefer_organization body/organization_id": Place("organizations"),
    "identity_verify_phone body/verification_id": Place(
        "auth_tokens", {"code": "123456"}, given={"purpose": "verify_phone"}
    ),
    "invitations_create body/role_id": Place("roles", {"email": "new@lind.example"}),
    "members_change body/role_id": Place("roles"),
    "members_list query/role_id": Place("roles"),
    "organizations_transfer body/user_id": Place("users"),
    "schedules_list query/workflow_id": Place("workflows"),
    "tasks_list query/execution_id": Place("workflow_executions"),
    "workflows_change body/assigned_users/0": Place("users"),
    "workflows_create body/assigned_users/0": Place("users", WORKFLOW),
    "workflows_graph query/execution": Place("workflow_executions"),
    "workflows_replace body/assigned_users/0": Place("users", WORKFLOW),
}
#: Lists of what everybody may see, or of nothing that belongs to anybody.
OPEN = {"operations_health", "operations_ready", "operations_metrics"}


def places(world: World) -> dict[str, tuple[str, str, list[str]]]:
    """Everywhere that a body or a query takes an id: `operation place` → method, path, the way to the place."""
    spec = document(world)
    found = {}
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            if method not in METHODS:
                continue
            ways: list[list[str]] = []
            for parameter in operation.get("parameters", ()):
                if parameter["in"] != "path":
                    for way in _ids(spec, parameter["schema"], ()):
                        ways.append([parameter["in"], parameter["name"], *way])
            for content in operation.get("requestBody", {}).get("content", {}).values():
                ways += [["body", *way] for way in _ids(spec, content["schema"], ())]
            for way in ways:
                found[f"{operation['operationId']} {'/'.join(way)}"] = (method.upper(), path, way)
    return found


def _ids(spec: dict[str, Any], schema: dict[str, Any], seen: tuple[str, ...]) -> Iterator[list[str]]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in seen:
            yield from _ids(spec, spec["components"]["schemas"][name], (*seen, name))
        return
    if schema.get("format") == "uuid":
        yield []
    for word in ("anyOf", "oneOf", "allOf"):
        for option in schema.get(word, ()):
            yield from _ids(spec, option, seen)
    for name, member in schema.get("properties", {}).items():
        yield from ([name, *rest] for rest in _ids(spec, member, seen))
    if isinstance(schema.get("items"), dict):
        yield from (["0", *rest] for rest in _ids(spec, schema["items"], seen))


def test_every_place_for_an_id_is_tried(world: World) -> None:
    assert places(world).keys() == PLACES.keys(), "say in PLACES whose id a new place takes"


@pytest.mark.parametrize("name", sorted(PLACES))
async def test_a_foreign_id_says_no_more_than_an_unknown_one(
    world: World,
    behind: AsyncConnection,
    name: str,
) -> None:
    ada, mallory = await world.account("Ada & Co"), await world.account("Mallory Ltd")
    place = PLACES[name]
    foreign = await _foreign(behind, place, ada)
    before = await snapshot(behind, ada)
    theirs = await _send(world, behind, mallory, name, foreign)
    nobodys = await _send(world, behind, mallory, name, str(uuid4()))
    assert theirs.status_code == nobodys.status_code
    assert _masked(theirs) == _masked(nobodys)
    assert await snapshot(behind, ada) == before


async def _foreign(behind: AsyncConnection, place: Place, owner: Account) -> str:
    if place.table == "users":
        return owner.user_id
    if place.table == "organizations":
        return owner.organization_id
    given = dict(place.given)
    if "organization_id" not in metadata.tables[place.table].c:
        given["user_id"] = owner.user_id
    elif place.table == "roles":
        given["organization_id"] = owner.organization_id
    made = await rows.row(behind, place.table, owner.organization_id, **given)  # type: ignore[arg-type]
    return str(made[place.key])


async def _send(
    world: World,
    behind: AsyncConnection,
    who: Account,
    name: str,
    id: str,
) -> httpx2.Response:
    method, path, way = places(world)[name]
    place, operation = PLACES[name], name.partition(" ")[0]
    headers: dict[str, str] = {}
    if "{" in path:
        path = path.replace("{organization_id}", who.organization_id)
        if "{" in path:
            own = await the_row(behind, SUBJECTS[operation], who)
            path = path[: path.index("{")] + own + path[path.index("}") + 1 :]
        if "If-Match" in SUBJECTS[operation].headers:
            headers["If-Match"] = (await who.get(path)).headers["ETag"]
    body, query = deepcopy(place.body), deepcopy(place.query)
    if way[0] == "query":
        query[way[1]] = id
    else:
        _put(body, way[1:], id)
    options = {"json": body} if method != "GET" and way[0] == "body" else {}
    return await who.request(method, path, params=query, headers=headers, **options)


def _put(body: Any, way: list[str], id: str) -> None:
    head, *rest = way
    if not rest:
        body[head] = id
    elif rest == ["0"]:
        body[head] = [id]
    else:
        _put(body.setdefault(head, {}), rest, id)


def _masked(answer: httpx2.Response) -> str:
    return _MOMENT.sub("moment", _UUID.sub("id", answer.text))


async def _fill(behind: AsyncConnection, owner: Account) -> set[str]:
    """A row of the account's organization in every table; every id that is the organization's alone."""
    for table in metadata.sorted_tables:
        if "organization_id" in table.c:
            await rows.row(behind, table.name, owner.organization_id)  # type: ignore[arg-type]
    ids = {owner.organization_id, owner.user_id, owner.email}
    for table in metadata.sorted_tables:
        if "organization_id" in table.c and "id" in table.c:
            mine = select(table.c.id).where(table.c.organization_id == owner.organization_id)
            ids |= {str(id) for id in await behind.scalars(mine)}
    return ids


async def test_no_list_shows_anything_of_another_organization(
    world: World,
    behind: AsyncConnection,
) -> None:
    """Every GET without an id but one's own organization's; and the pages that follow another's cursor."""
    ada, mallory = await world.account("Ada & Co"), await world.account("Mallory Ltd")
    secrets = await _fill(behind, ada)
    before = await snapshot(behind, ada)
    spec, asked, seen = document(world), [], 0
    for path, methods in spec["paths"].items():
        if "get" not in methods or methods["get"]["operationId"] in OPEN:
            continue
        if "{" in path.replace("{organization_id}", ""):
            continue
        asked.append(path)
        answer = await mallory.get(path.replace("{organization_id}", mallory.organization_id))
        assert answer.status_code < 500, (path, answer.text)
        leaked = [secret for secret in secrets if secret in answer.text]
        assert not leaked, f"{path} shows {leaked} of another organization"
        own = await ada.get(path.replace("{organization_id}", ada.organization_id), params={"limit": 1})
        if cursor := _CURSOR.search(own.text):
            seen += 1
            query = {"cursor": cursor[1], "limit": 1}
            following = await mallory.get(
                path.replace("{organization_id}", mallory.organization_id), params=query
            )
            assert following.status_code < 500
            leaked = [secret for secret in secrets if secret in following.text]
            assert not leaked, f"{path} shows {leaked} to whoever has the cursor"
    assert len(asked) > 20
    assert seen, "no list was long enough for a second page"
    after = await snapshot(behind, ada)
    # Looking is written down too, and Ada looked.
    assert [name for name in before if before[name] != after[name]] in ([], ["activity_logs"])


async def test_another_organization_is_not_entered_by_its_name_in_a_header(world: World) -> None:
    ada, mallory = await world.account("Ada & Co"), await world.account("Mallory Ltd")
    for path in ("/v1/workflows", "/v1/clients", "/v1/me"):
        theirs, nobodys = [
            await mallory.get(path, headers={"X-Organization-Id": id, "X-Request-Id": "same"})
            for id in (ada.organization_id, str(uuid4()))
        ]
        assert theirs.status_code == nobodys.status_code, path
        assert theirs.content == nobodys.content, path
        assert ada.organization_id not in theirs.text


async def test_nothing_answers_without_credentials_but_what_is_public(world: World) -> None:
    """Operations that need none say so in the document; every other one answers 401, whatever is sent."""
    await world.account()
    spec = document(world)
    open_ones = set()
    for path, methods in spec["paths"].items():
        for method in METHODS:
            if method not in methods:
                continue
            address = re.sub(r"\{[^}]+\}", str(uuid4()), path)
            answer = await world.http.request(method.upper(), address, json={})
            if answer.status_code != 401:
                open_ones.add(methods[method]["operationId"])
    stated = {
        methods[method]["operationId"]
        for methods in spec["paths"].values()
        for method in METHODS
        if method in methods and not methods[method].get("security")
    }
    assert open_ones <= stated, sorted(open_ones - stated)

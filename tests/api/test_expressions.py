"""Trying expressions: the same answers and limits as in an execution, and a node that stays alive."""

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert

from api.tokens import ApiKey
from db.tables import metadata
from domain.definitions.program import load_program
from tests.api.house import House, house, problems
from tests.factories.driver import Execution

__all__ = ["house"]
PATH = "/v1/expressions/evaluate"


async def test_an_expression_is_evaluated_with_input_and_scope(house: House) -> None:
    body = {
        "expression": "${ .items | length + $context.n }",
        "input": {"items": [1, 2]},
        "scope": {"context": {"n": 3}},
    }
    answer = await house.member.post(PATH, body)
    assert answer.status_code == 200
    assert (answer.json()["result"], answer.json()["names"]) == (5, ["context"])
    assert answer.json()["cost"] > 0
    dollar = await house.member.post(PATH, {"expression": "$a", "scope": {"$a": [None]}})
    assert dollar.json()["result"] == [None]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "#/expression"),
        ({"expression": ""}, "#/expression"),
        ({"expression": "x" * 4_097}, "#/expression"),
        ({"expression": ".a |"}, "#/expression"),
        ({"expression": "$missing", "scope": {"context": 1}}, "#/expression"),
        ({"expression": "1, 2"}, "#/expression"),
        ({"expression": "empty"}, "#/expression"),
        ({"expression": "env"}, "#/expression"),
        ({"expression": "1 / 0"}, "#/expression"),
        ({"expression": ".", "scope": []}, "#/scope"),
        ({"expression": ".", "value": 1}, "#/value"),
        ({"expression": ".", "input": "x" * 140_000}, "#/input"),
    ],
)
async def test_what_cannot_be_evaluated_is_told_at_its_place(house: House, body: Any, place: str) -> None:
    answer = await house.member.post(PATH, body)
    assert answer.status_code == 422, answer.text
    assert place in problems(answer)


async def test_names_in_scope_are_suggested(house: House) -> None:
    answer = await house.member.post(PATH, {"expression": "$contxt", "scope": {"context": 1}})
    assert "$context" in answer.json()["errors"][0]["suggestion"]


async def test_hostile_expressions_end_and_others_are_served_meanwhile(house: House) -> None:
    hostile = [
        "[range(1e9)]",
        "def f: f; f",
        '"x" * 1000000000',
        "[limit(1e9; repeat(1))]",
        "last(range(1e12))",
    ]
    before = time.perf_counter()
    slow = [asyncio.create_task(house.member.post(PATH, {"expression": each})) for each in hostile]
    health = await asyncio.gather(*(house.owner.get("/healthz") for _ in range(5)))
    assert {answer.status_code for answer in health} == {200}
    for answer in await asyncio.gather(*slow):
        assert answer.status_code == 422
        assert list(problems(answer)) == ["#/expression"]
    assert time.perf_counter() - before < 5


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        (".items | lenght", "At character 10 (`lenght`): lenght/0 is not a function. Did you mean length?"),
        (".a |", "At character 5: It is not valid jq: it ends where more is needed."),
        (".a\n| .b b", "At line 2, character 6 (`b`): It is not valid jq: unexpected token 'b'."),
        ("1 + now", "At character 5 (`now`): now is not available"),
    ],
)
async def test_errors_say_where_in_the_expression(house: House, expression: str, told: str) -> None:
    answer = await house.member.post(PATH, {"expression": expression})
    assert answer.json()["errors"][0]["detail"].startswith(told)


async def test_the_scope_is_told_by_shape_and_not_by_value(house: House) -> None:
    body = {
        "expression": ".",
        "input": {"client": {"name": "Ada"}},
        "scope": {"context": {"lines": [{"n": 1}, 2]}},
    }
    scope = (await house.member.post(PATH, body)).json()["scope"]
    assert scope["."]["members"]["client"]["members"] == {"name": {"type": "string"}}
    lines = scope["$context"]["members"]["lines"]
    assert lines == {
        "type": "array",
        "length": 2,
        "items": {"type": "object", "members": {"n": {"type": "number"}}},
    }
    assert "Ada" not in json.dumps(scope)


INVOICES = {
    "do": [
        {
            "prepare": {
                "set": {"invoices": "${ .invoices }", "sum": 0},
                "export": {"as": "{owner: $input.owner}"},
            }
        },
        {
            "each": {
                "for": {"in": ".invoices", "each": "invoice"},
                "do": [
                    {
                        "remind": {
                            "call": "email.send",
                            "with": {"to": "${ $invoice.to }"},
                            "output": {"as": ".message_id"},
                        }
                    },
                    {"count": {"set": {"invoices": [], "sum": "${ $invoice.total }"}}},
                ],
            }
        },
        {"finish": {"set": {"last": "${ .sum }"}}},
    ]
}
SENT = {"owner": "Bo", "invoices": [{"to": "a@example.com", "total": 5}, {"to": "b@example.com", "total": 7}]}


async def recorded(house: House) -> str:
    """The id of an execution of INVOICES, whose log is what the interpreter told."""
    id = await house.published(INVOICES)
    answer = await house.member.post(f"/v1/workflows/{id}/executions", {"input": SENT})
    execution: str = answer.json()["id"]
    [version] = await house.everything("workflow_versions")
    run = Execution(
        load_program(version["compiled"]), SENT, {"remind": [{"message_id": "m1"}, {"message_id": "m2"}]}
    )
    lines = []
    for record in run.run().records.values():
        line = {
            name: getattr(record, name) for name in record.__slots__ if name not in ("started", "completed")
        }
        line |= {"started_at": moment(record.started), "completed_at": moment(record.completed)}
        lines.append(line | {"organization_id": house.owner.organization_id, "execution_id": UUID(execution)})
    async with house.admin.begin() as connection:
        await connection.execute(insert(metadata.tables["execution_steps"]), lines)
    return execution


def moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


async def test_a_recorded_execution_lends_its_values(house: House) -> None:
    execution = await recorded(house)

    async def tried(expression: str, **of: Any) -> Any:
        answer = await house.member.post(
            PATH, {"expression": expression, "execution": {"id": execution, **of}}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    assert await tried(".owner") == "Bo"
    assert await tried("$workflow.trigger", step="remind") == {"type": "manual", "name": "api"}
    assert await tried("[$invoice.total, $index, $context.owner]", step="remind", visit=1) == [5, 0, "Bo"]
    assert await tried("[$invoice.total, $index, $steps.count.sum]", step="/do/1/each/do/0/remind") == [
        7,
        1,
        5,
    ]
    assert await tried(".", step="remind", visit=1, moment="after") == "m1"
    assert await tried(".sum", step="finish") == 7


async def test_the_names_of_a_step_are_listed(house: House) -> None:
    body = {"expression": "1", "execution": {"id": await recorded(house), "step": "remind"}}
    scope = (await house.member.post(PATH, body)).json()["scope"]
    assert scope["$invoice"]["members"]["total"] == {"type": "number"}
    assert {".", "$context", "$index", "$input", "$steps", "$task", "$workflow"} <= scope.keys()


async def test_what_cannot_be_lent_is_told(house: House) -> None:
    execution = await recorded(house)
    for of, place, told in (
        ({"step": "nope"}, "#/execution/step", "no such step"),
        ({"step": "remind", "visit": 3}, "#/execution/step", "ended before"),
        ({"step": "remind", "visit": 3, "moment": "after"}, "#/execution/step", "no output yet"),
    ):
        answer = await house.member.post(PATH, {"expression": ".", "execution": {"id": execution, **of}})
        assert answer.status_code == 422, answer.text
        assert place in problems(answer)
        assert told in answer.json()["errors"][0]["detail"]
    body = {"expression": ".", "execution": {"id": execution}}
    assert (await house.stranger.post(PATH, body)).status_code == 404


async def test_sent_values_go_before_recorded_ones(house: House) -> None:
    of = {"id": await recorded(house), "step": "remind"}
    body = {
        "expression": "[., $invoice.total]",
        "execution": of,
        "input": 1,
        "scope": {"invoice": {"total": 9}},
    }
    assert (await house.member.post(PATH, body)).json()["result"] == [1, 9]


async def test_an_executions_values_need_the_permission_to_read_executions(house: House) -> None:
    key = ApiKey.new()
    row = {
        "organization_id": house.owner.organization_id,
        "user_id": house.owner.id,
        "name": "editor",
        "key_id": key.key_id,
        "secret_sha256": key.secret_sha256,
        "scopes": ["workflows:read"],
    }
    async with house.admin.begin() as connection:
        await connection.execute(insert(metadata.tables["api_keys"]), row)
    body = {"expression": ".owner", "execution": {"id": await recorded(house)}}
    signed = {"Authorization": f"Bearer {key}"}
    assert (await house.owner.http.post(PATH, json=body, headers=signed)).status_code == 403
    assert (await house.owner.http.post(PATH, json={"expression": "1"}, headers=signed)).status_code == 200

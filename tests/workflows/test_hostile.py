"""Hostile definitions and payloads end in a clear error, and the node goes on serving everybody else."""

from typing import Any

import pytest

from tests.workflows.engine import Engine
from tests.workflows.test_executions import TEMPLATES

HOSTILE = {
    "endless recursion": "def f: f; f",
    "deep recursion": "def f: 1 + f; f",
    "a billion items": "[range(1000000000)] | length",
    "a long text": '"x" * 1000000000',
    "doubling": 'reduce range(64) as $i ("x"; . + .)',
    "nesting": "reduce range(100000) as $i (null; [.])",
    "shared values": "reduce range(60) as $i ([1]; [., .])",
    "a big number": "reduce range(100) as $i (10; . * .)",
    "until never": "0 | until(false; . + 1)",
    "the environment": "env",
    "its variable": "$ENV.PATH",
    "halting": "halt_error",
    "input": "input",
    "the clock": "now",
    "backtracking": '("a" * 50 + "!") | test("^(a+)+$")',
    "nothing": "empty",
    "two results": "1, 2",
}


@pytest.mark.parametrize("expression", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_expression_is_refused_or_fails_its_execution(
    engine: Engine, expression: str
) -> None:
    body: dict[str, Any] = {
        "name": "hostile",
        "definition": {"do": [{"attack": {"set": {"x": f"${{ {expression} }}"}}}]},
    }
    created = await engine.post("/v1/workflows", body)
    published = await engine.http.post(f"/v1/workflows/{created['id']}/publish", json={})
    if published.is_error:
        problem = published.json()
        assert published.status_code == 422
        assert problem["errors"][0]["pointer"].endswith("/do/0/attack/set/x"), problem
    else:
        row = await engine.ended((await engine.start(created["id"]))["id"])
        if expression == HOSTILE["backtracking"]:
            assert row["status"] == "completed"  # a linear engine just answers
        else:
            assert row["status"] == "failed", dict(row)
            assert row["error"]["instance"] == "/do/0/attack"
            assert row["error_message"]
    assert (await engine.run(TEMPLATES))["status"] == "completed"


async def test_a_value_too_large_for_the_state_fails_with_its_limit(engine: Engine) -> None:
    row = await engine.run([{"grow": {"set": {"x": '${ "x" * 200000 }'}}}])
    assert row["status"] == "failed"
    assert "128 KB" in row["error_message"]


async def test_a_loop_without_end_meets_its_budget(engine: Engine) -> None:
    row = await engine.run([{"again": {"set": {"n": 1}, "then": "again"}}])
    assert row["status"] == "failed"
    assert "10000 steps" in row["error_message"]

"""Trying expressions: the same answers and limits as in an execution, and a node that stays alive."""

import asyncio
import time
from typing import Any

import pytest

from tests.api.house import House, house, problems

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

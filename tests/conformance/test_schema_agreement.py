"""Validation and the JSON Schema of the DSL agree, but for what the tables STRICTER and LIGHT say.

The schema is not part of the project: `PERDURE_DSL_SCHEMA` names its file. The long form
(`PERDURE_SCHEMA_DOCUMENTS=2000`) looks at that many grown documents, and at six times as many changed ones.
"""

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from activities.actions.registry import built_in
from domain.definitions.model import SUPPORTED
from domain.definitions.publishing import publish
from domain.definitions.validation import validate
from domain.definitions.validation.stricter import LIGHT, is_stricter
from domain.errors import Problem
from tests.conformance.documents import Grower, mutated

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = Path(
    os.environ.get(
        "PERDURE_DSL_SCHEMA", ROOT.parent / "shared" / "conformance" / "schema" / "open-workflow-1.0.3.json"
    )
)
#: How many wrong documents are made of each sound one, which costs more to grow.
CHANGES = 6
LONG = int(os.environ.get("PERDURE_SCHEMA_DOCUMENTS", "0"))

pytestmark = pytest.mark.skipif(
    not SCHEMA.is_file(),
    reason="the JSON Schema of the DSL is not beside the project; set PERDURE_DSL_SCHEMA",
)

CATALOGUE = built_in().specs()
WORDS = ("call", "do", "emit", "for", "fork", "listen", "raise", "run", "set", "switch", "try", "wait")
PARTS = ("input", "output", "use", "timeout", "schedule", "evaluate")
look = settings(
    max_examples=LONG or 120,
    deadline=None,
    derandomize=not LONG,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@cache
def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SCHEMA.read_text())
    return loaded


@cache
def judges() -> tuple[Any, Any]:
    """The schema read with formats and without: it means formats to exclude each other in some places."""
    return tuple(jsonschema_rs.validator_for(schema(), validate_formats=each) for each in (False, True))  # type: ignore[return-value]


def accepted(document: Any) -> bool:
    return any(judge.is_valid(document) for judge in judges())


@cache
def names() -> tuple[str, ...]:
    """Every property the schema knows."""
    found: set[str] = set()
    stack: list[Any] = [schema()]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if isinstance(item.get("properties"), dict):
                found |= item["properties"].keys()
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return (*sorted(found), "nonsense", "triggers")


def errors(document: Any) -> list[Problem]:
    problems = validate(document, catalogue=CATALOGUE)
    return [problem for problem in problems if problem.severity == "error"]


def whole_documents() -> st.SearchStrategy[Any]:
    @st.composite
    def grown(draw: Any) -> Any:
        return Grower(draw, schema(), WORDS).document(PARTS)

    return grown()


def sound_documents() -> st.SearchStrategy[Any]:
    @st.composite
    def grown(draw: Any) -> Any:
        words = tuple(sorted(SUPPORTED))
        return Grower(draw, schema(), words, sensible=True).document(("input", "output", "use", "timeout"))

    return grown()


@look
@given(whole_documents())
def test_what_the_schema_accepts_is_accepted_but_for_a_rule_of_the_table(document: Any) -> None:
    if accepted(document):
        unexplained = [each for each in errors(document) if not is_stricter(each)]
        assert not unexplained, (unexplained, document)
    else:
        assert errors(document), document


@look
@given(st.data())
def test_every_change_to_a_sound_document_is_judged_as_the_schema_judges_it(data: st.DataObject) -> None:
    document = data.draw(sound_documents())
    assume(not errors(document) and accepted(document))
    for _ in range(CHANGES):
        judge(data.draw(mutated(document, names())))


def judge(changed: dict[str, Any]) -> None:
    """Told when, and only when, the schema or the table of stricter rules has something against it."""
    found = errors(changed)
    if found:
        assert not accepted(changed) or all(map(is_stricter, found)), (found, changed)
        return
    full = publish(changed, name="sample", namespace="acme", catalogue=CATALOGUE).document
    assert accepted(full), (list(judges()[1].iter_errors(full))[:3], full)
    if not accepted(changed):
        different = [at for at in differences(changed, full) if not is_light(at)]
        assert not different, (different, changed)


def is_light(pointer: str) -> bool:
    return any(re.search(place, pointer) for place, _ in LIGHT)


def differences(one: Any, other: Any, pointer: str = "") -> list[str]:
    """Pointers to the outermost values that are not the same."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = list(dict.fromkeys([*one, *other]))
        return [at for key in keys for at in differences(one.get(key), other.get(key), f"{pointer}/{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [at for index, (a, b) in pairs for at in differences(a, b, f"{pointer}/{index}")]
    return [] if one == other else [pointer]

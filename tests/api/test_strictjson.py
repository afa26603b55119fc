import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.strictjson import read
from domain.errors import Invalid

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
values = st.recursive(
    scalars | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=20
)


def refusal_of(body: bytes) -> Invalid | None:
    try:
        read(body)
    except Invalid as refusal:
        return refusal
    return None


@given(values)
def test_whatever_is_plain_json_arrives_unchanged(value: object) -> None:
    assert read(json.dumps(value).encode()) == value
    assert read(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary())
def test_any_bytes_are_read_or_refused_with_a_place(body: bytes) -> None:
    refusal = refusal_of(body)
    if refusal is not None:
        assert refusal.problems
        assert all(problem.pointer.startswith("#") and problem.suggestion for problem in refusal.problems)


@given(st.recursive(st.just(float("nan")) | scalars, lambda inner: st.lists(inner, min_size=1), max_leaves=8))
def test_nan_anywhere_is_refused(value: object) -> None:
    body = json.dumps(value)
    if "NaN" in body:
        with pytest.raises(Invalid):
            read(body.encode())


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'"' + b"\\" * 999_998 + b'"',
        b"{" + b",".join(b'"%d":0' % n for n in range(90_000)) + b"}",
        b'{"a":0,' + b'"a":1,' * 150_000 + b'"a":2}',
        b"{" + b",".join(b'"%d":0' % n for n in range(90_000)) + b',"89999":1}',
        b"[]" * 500_000,
        b"[" + b"NaN," * 240_000 + b"1]",
        b"9" * 1_000_000,
        b"[" + b'"\\u0000",' * 100_000 + b"1]",
    ],
)
def test_a_megabyte_of_malice_costs_little(body: bytes) -> None:
    began = time.process_time()
    refusal = refusal_of(body)
    assert refusal is None or len(refusal.problems) <= 20
    assert time.process_time() - began < 1.0  # far above what it takes on a quiet machine

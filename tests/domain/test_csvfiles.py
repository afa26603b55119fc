"""Reading and writing CSV: whatever was written is read back, whatever comes is read or refused at its place."""

import csv
import io
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.csvfiles import (
    DELIMITERS,
    Unreadable,
    decode,
    delimiter_of,
    genuine,
    harmless,
    read,
    shown,
    write,
)
from domain.errors import Invalid
from domain.importcolumns import columns_of, fields_of
from domain.importrows import read_row
from domain.imports import MatchBy, TransferKind
from domain.staging import Asked, stage

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
TABLES = st.lists(st.lists(TEXT, min_size=2, max_size=5), min_size=1, max_size=8)
ENCODINGS = {"utf-8": "utf-8", "utf-8-sig": "utf-8-sig", "utf-16": "utf-16"}


@given(TABLES, st.sampled_from(DELIMITERS), st.sampled_from(sorted(ENCODINGS)))
def test_what_was_written_is_read_back(rows: list[list[str]], delimiter: str, encoding: str) -> None:
    rows = [["head", "er"], *rows]
    decoded = decode(write(rows, delimiter).encode(ENCODINGS[encoding]))
    found = [[genuine(cell) for cell in record.cells] for record in read(decoded.text, delimiter)]
    assert found == [row for row in rows if any(harmless(cell).strip() for cell in row)]


@given(TEXT)
@example("'=1")
@example("=cmd|' /C calc'!A0")
@example("+1")
@example("-1")
@example("@SUM(1)")
@example("\t=1")
@example("\r=1")
@example("\n=1")
@example("  =1")
@example("＝1+1")  # noqa: RUF001 - the wide form is meant
def test_no_cell_of_an_export_is_run_as_a_formula(cell: str) -> None:
    [[written]] = csv.reader(io.StringIO(write([[cell]]), newline=""), strict=True)
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))  # noqa: RUF001
    assert not written.lstrip().startswith(("=", "+", "-", "@"))
    assert genuine(written) == cell


@given(st.binary(max_size=300))
@example(b'"')
@example(b"\xff\xfe\x00")
@example(b"\xfe\xff\xd8\x00")
@example(b'sep="\n"')
@example(b"sep=\r\nname")
@example(b'name\r"\r')
def test_any_bytes_are_read_or_refused_at_a_place_that_exists(content: bytes) -> None:
    records, problem = [], None
    try:
        decoded = decode(content)
        delimiter, start = delimiter_of(decoded.text)
        records = list(read(decoded.text, delimiter, start))
    except Unreadable as caught:
        problem = caught
    if problem is not None:
        lines = content.count(b"\n") + content.count(b"\r") + 1
        assert problem.mend
        assert problem.line is None or 1 <= problem.line <= lines
        assert problem.column is None or 1 <= problem.column <= len(content) + 1
    assert all(earlier.line < later.line for earlier, later in pairwise(records))


@given(st.binary(max_size=300), st.sampled_from(TransferKind), st.sampled_from([None, *MatchBy]))
def test_any_upload_is_staged_or_refused(
    content: bytes, kind: TransferKind, match_by: MatchBy | None
) -> None:
    refusal = None
    try:
        staged = stage(content, Asked(kind, match_by, ignore_unknown=True))
        assert sum(map(len, staged.parts)) == staged.total
    except Invalid as caught:
        refusal = caught
    if refusal is not None:
        assert refusal.problems
        assert all(problem.suggestion for problem in refusal.problems)


@given(st.sampled_from(TransferKind), st.lists(TEXT, max_size=30))
def test_any_row_is_read_or_reported(kind: TransferKind, cells: list[str]) -> None:
    columns = {field: index for index, field in enumerate(fields_of(kind))}
    values, problems = read_row(kind, 2, cells, columns, len(columns))
    assert not (values and problems)
    assert values or problems or not any(cell.strip() for cell in cells)
    for problem in problems:
        assert problem.mend
        assert problem.message
        assert problem.value is None or problem.value.isprintable()


@given(TEXT)
def test_a_report_quotes_a_cell_on_one_line(cell: str) -> None:
    assert len(shown(cell)) <= 80
    assert shown(cell).isprintable()


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("name;city\na;b", ";"),
        ('"a,b,c";d\n1;2', ";"),
        ("name\tcity\n", "\t"),
        ("sep=|\nname|city\n", "|"),
        ("name\nx;y;z\n", ","),
        ("a,b;c\n", ","),
    ],
)
def test_the_delimiter_is_found_out(text: str, delimiter: str) -> None:
    assert delimiter_of(text)[0] == delimiter


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("Client Name", "name"),
        ("KUNDEN-NR.", "client_number"),
        ("  e_mail  ", "email"),
        ("Straße", "address"),
        ("Société", "company_name"),
        ("Zip/Postal Code", "zip_code"),
        ("Téléphone", "phone"),
    ],
)
def test_headers_are_known_by_what_others_call_them(header: str, field: str) -> None:
    columns, problems = columns_of(TransferKind.CLIENTS, ["name", header] if field != "name" else [header])
    assert problems == []
    assert field in columns.fields


def test_every_synonym_belongs_to_one_field_only() -> None:
    for kind in TransferKind:
        for field in fields_of(kind):
            columns, _ = columns_of(kind, [field])
            assert list(columns.fields) == [field]


@pytest.mark.parametrize(
    ("cell", "amount"),
    [
        ("1500", "1500"),
        ("1,500.00", "1500.00"),
        ("1.500,5", "1500.5"),
        ("€ 1 500.00", "1500.00"),
        ("12,5", "12.5"),
    ],
)
def test_amounts_are_read_as_people_write_them(cell: str, amount: str) -> None:
    columns = {"name": 0, "credit_limit": 1}
    assert read_row(TransferKind.CLIENTS, 2, ["A", cell], columns, 2)[0]["credit_limit"] == amount


@pytest.mark.parametrize("cell", ["1,500", "1.500", "1.2.3", "abc", "1e5", "NaN", "-1", "99999999999"])
def test_amounts_nobody_can_be_sure_of_are_refused(cell: str) -> None:
    columns = {"name": 0, "credit_limit": 1}
    [problem] = read_row(TransferKind.CLIENTS, 2, ["A", cell], columns, 2)[1]
    assert (problem.column, problem.field) == (2, "credit_limit")

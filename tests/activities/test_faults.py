"""What a tenant reads of a failure: never what an exception or the database says in its own words."""

import logging

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from temporalio.testing import ActivityEnvironment

from activities.faults import as_fault
from db.engine import create_engine
from domain.definitions.faults import Fault


async def refused(url: str, statement: str) -> DBAPIError:
    engine = create_engine(url)
    try:
        with pytest.raises(DBAPIError) as caught:
            async with engine.begin() as connection:
                await connection.execute(text(statement))
    finally:
        await engine.dispose()
    return caught.value


def told(error: Exception) -> Fault:
    return ActivityEnvironment().run(as_fault, error, "client.create")


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (
            "SELECT CAST('s3cret' AS integer)",
            "the database refused a value that 'client.create' was given; correct its arguments",
        ),
        (
            "INSERT INTO organizations (slug) VALUES ('s3cret')",
            "the database refused the value for 'name' that 'client.create' was given; correct its arguments",
        ),
    ],
)
async def test_a_value_the_database_refuses(
    admin_url: str, statement: str, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        fault = told(await refused(admin_url, statement))
    assert (fault.status, fault.detail) == (400, sentence)
    assert "s3cret" in caplog.text


async def test_a_defect_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    fault = told(ZeroDivisionError("at 10.0.0.7"))
    assert fault.status == 500
    assert "10.0.0.7" not in str(fault)
    assert "ZeroDivision" not in str(fault)
    assert "at 10.0.0.7" in caplog.text

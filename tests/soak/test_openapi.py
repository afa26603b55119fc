"""The whole OpenAPI document asked by schemathesis, all checks and stateful links; `make soak` asks much longer.

No answer may be a fault of ours, of a status or a form the document does not tell, or open without a credential.
"""

import warnings

import pytest

from tests.conftest import Cluster
from tests.soak.application import Addresses, served
from tests.soak.campaign import Plan, conduct
from tests.soak.report import wrong

#: Always the same requests, as long as the document is the same.
SEED = 20261123


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("default")
def test_the_api_does_what_its_document_says(postgres: Cluster, database: str) -> None:
    addresses = Addresses(postgres.url(database), postgres.url(database, "postgres"))
    with served(addresses) as app, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of schemathesis itself, about schemas it would like better
        outcome = conduct(
            app, addresses.admin, Plan(SEED, examples=1, phases=("examples", "fuzzing", "stateful"))
        )
        operations = {
            f"{method.upper()} {path}"
            for path, methods in app.openapi()["paths"].items()
            for method in methods
        }
    assert wrong(outcome) == []
    assert operations - outcome.by_operation.keys() == set(), "an operation was never asked"
    assert outcome.requests > len(operations)

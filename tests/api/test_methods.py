"""A method that an address does not have: 405 with all it has, whichever route would have matched first."""

import pytest

from tests.api.conftest import Account

ID = "0192f0c1-2b7e-7cc3-9d0a-3f1b2c4d5e6f"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/v1/clients", "GET, POST"),
        ("PUT", f"/v1/clients/{ID}", "DELETE, GET, PATCH"),
        ("PUT", "/v1/workflows/test", "POST"),
        ("GET", "/v1/workflows/validate", "POST"),
        ("POST", f"/v1/workflows/{ID}", "GET, PATCH, PUT"),
        ("DELETE", "/healthz", "GET"),
    ],
)
async def test_allow_names_every_method_of_the_address(
    account: Account, method: str, path: str, allow: str
) -> None:
    answer = await account.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == allow


async def test_without_a_credential_a_wrong_organization_is_not_looked_at(account: Account) -> None:
    header = {"X-Organization-Id": "none"}
    nobody = await account.http.get("/v1/clients", headers=header)
    somebody = await account.get("/v1/clients", headers=header)
    assert (nobody.status_code, somebody.status_code) == (401, 403)


@pytest.mark.parametrize("moment", ["0.5", "1700000000", "2026-01-31"])
async def test_a_number_is_no_time(account: Account, moment: str) -> None:
    answer = await account.get("/v1/executions", params={"from": moment})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "query/from"

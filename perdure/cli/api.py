"""The API as commands use it: its address and key from options, the environment or the local stack."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer

from workers.devstack import state
from workers.devstack.errors import StackError

Api = Annotated[str | None, typer.Option("--api", envvar="PERDURE_API", help="Address of the API.")]
Key = Annotated[
    str | None, typer.Option("--key", envvar="PERDURE_API_KEY", help="API key; better in the environment.")
]

TIMEOUT = httpx2.Timeout(30.0)


@dataclass(frozen=True, slots=True)
class Client:
    """Raises StackError with what the API said was wrong, and how to mend it."""

    http: httpx2.Client

    def get(self, path: str, **query: Any) -> Any:
        return self._checked("GET", path, params={name: value for name, value in query.items() if value})

    def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        return self._checked("POST", path, json=body, headers=headers)

    def put(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        return self._checked("PUT", path, json=body, headers=headers)

    def patch(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        return self._checked("PATCH", path, json=body, headers=headers)

    def delete(self, path: str) -> None:
        self._checked("DELETE", path)

    def _checked(self, method: str, path: str, **options: Any) -> Any:
        with reaching(self.http):
            answer = self.http.request(method, path, **options)
        refuse_problem(answer)
        return answer.json() if answer.content else None


@contextmanager
def client(api: str | None, key: str | None, data_dir: Path) -> Iterator[Client]:
    """Raises StackError when there is neither an address and a key nor a local stack."""
    address, bearer = api or _local_address(data_dir), key or _local_key(data_dir)
    headers = {"Authorization": f"Bearer {bearer}"}
    with httpx2.Client(base_url=address, headers=headers, timeout=TIMEOUT, trust_env=False) as http:
        yield Client(http)


@contextmanager
def reaching(http: httpx2.Client) -> Iterator[None]:
    try:
        yield
    except httpx2.TransportError as error:
        raise StackError(
            f"The API at {http.base_url} cannot be reached ({type(error).__name__}).",
            "Check --api, or start the local stack with `perdure up`.",
        ) from None


def refuse_problem(answer: httpx2.Response) -> None:
    if not answer.is_error:
        return
    try:
        problem = answer.json()
        text = problem["detail"]
    except (json.JSONDecodeError, KeyError, TypeError):
        raise StackError(
            f"The answer was {answer.status_code} and no problem document.",
            "Is --api the address of Perdure?",
        ) from None
    found = [f"{each['pointer']}: {each['detail']}" for each in problem.get("errors", [])]
    mends = [each["suggestion"] for each in problem.get("errors", []) if each.get("suggestion")]
    if answer.status_code == 401:
        mends.append("Give a valid API key with --key or PERDURE_API_KEY.")
    raise StackError(" ".join([text, *found]), " ".join(mends) or f"The answer's code is {problem['code']}.")


def _local_address(data_dir: Path) -> str:
    address = state.load(data_dir.resolve()).urls.get("api")
    if address is None:
        raise StackError(
            f"There is no local stack in {data_dir}.", "Give --api (or PERDURE_API), or run `perdure up`."
        )
    return address


def _local_key(data_dir: Path) -> str:
    """The demo's key, which the local stack keeps beside its other secrets."""
    path = data_dir / "demo.json"
    if not path.exists():
        raise StackError(
            "No API key is given.", "Give --key (or PERDURE_API_KEY); POST /v1/me/api-keys makes one."
        )
    key: str = json.loads(path.read_text())["api_key"]
    return key

"""The API as commands use it: its address and key from options, the environment or the local stack."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer

from perdure.cli.output import emit
from workers.devstack import state
from workers.devstack.errors import StackError

Api = Annotated[str | None, typer.Option("--api", envvar="PERDURE_API", help="Address of the API.")]
Key = Annotated[
    str | None, typer.Option("--key", envvar="PERDURE_API_KEY", help="API key; better in the environment.")
]

TIMEOUT = httpx2.Timeout(30.0)


#: How many items one page of a list holds at most.
_PAGE = 100


class Refused(StackError):
    """The API said no; `code` is its word for why."""

    def __init__(self, problem: str, mend: str, code: str) -> None:
        super().__init__(problem, mend)
        self.code = code


#: For answers whose mend depends on nothing but the code.
_MENDS = {"not_found": "Check the id: `list` shows what there is."}


@dataclass(frozen=True)
class Client:
    """Raises StackError with what the API said was wrong, and how to mend it.

    Address and key are looked for when something is asked: what is wrong with a file is told without either.
    """

    api: str | None
    key: str | None
    data_dir: Path
    as_json: bool = False

    @cached_property
    def http(self) -> httpx2.Client:
        address, bearer = self.api or _local_address(self.data_dir), self.key or _local_key(self.data_dir)
        headers = {"Authorization": f"Bearer {bearer}"}
        return httpx2.Client(base_url=address, headers=headers, timeout=TIMEOUT, trust_env=False)

    def answer(self, value: Any, tell: Callable[[Any], None]) -> None:
        """What the command was for: one JSON document where that was asked for, else told to people."""
        if self.as_json:
            emit(value)
        else:
            tell(value)

    def get(self, path: str, **query: Any) -> Any:
        return self._checked("GET", path, params={name: value for name, value in query.items() if value})

    def pages(self, path: str, **query: Any) -> Iterator[Any]:
        """Every item of a list, page after page."""
        cursor = None
        while True:
            page = self.get(path, **query, cursor=cursor, limit=_PAGE)
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        return self._checked("POST", path, json=body, headers=headers)

    def put(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        return self._checked("PUT", path, json=body, headers=headers)

    def patch(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        return self._checked("PATCH", path, json=body, headers=headers)

    def delete(self, path: str) -> Any:
        return self._checked("DELETE", path)

    def _checked(self, method: str, path: str, **options: Any) -> Any:
        with reaching(self.http):
            answer = self.http.request(method, path, **options)
        refuse_problem(answer)
        return answer.json() if answer.content else None


@contextmanager
def client(api: str | None, key: str | None, data_dir: Path, *, as_json: bool = False) -> Iterator[Client]:
    """Asking it raises StackError when there is neither an address and a key nor a local stack."""
    connected = Client(api, key, data_dir, as_json)
    try:
        yield connected
    finally:
        if "http" in vars(connected):
            connected.http.close()


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
    code = str(problem["code"])
    mend = " ".join(mends) or _MENDS.get(code) or f"The answer's code is {code}."
    raise Refused(" ".join([text, *found]), mend, code)


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

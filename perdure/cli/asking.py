"""Commands that ask the API: where it is, with which key, and how to answer are options that all of them have."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from perdure.cli.api import Api, Client, Key, client
from perdure.cli.output import AsJson, DataDir, explained
from workers.devstack.state import DEFAULT_FOLDER

Own = ParamSpec("Own")


def asking(command: Callable[Concatenate[Client, Own], None]) -> Callable[..., None]:
    """Gives `command(perdure, …)` its client, made of --api, --key, --data-dir and --json, which come last.

    A foreseen failure ends the command with its message and status 1.
    """

    @wraps(command)
    def run(**given: Any) -> None:
        api, key, data_dir, as_json = (given.pop(name) for name in _SHARED)
        with explained(as_json), client(api, key, data_dir, as_json=as_json) as perdure:
            command(perdure, **given)

    _, *own = inspect.signature(command).parameters.values()
    named = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
    # Typer makes its options of these two.
    run.__signature__ = inspect.Signature([*named, *_SHARED.values()])  # type: ignore[attr-defined]  # it may be set
    run.__annotations__ = {each.name: each.annotation for each in (*named, *_SHARED.values())}
    return run


def _shared(
    *, api: Api = None, key: Key = None, data_dir: DataDir = DEFAULT_FOLDER, as_json: AsJson = False
) -> None:
    """Only its signature is used."""


_SHARED = inspect.signature(_shared).parameters

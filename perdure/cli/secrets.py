"""`secrets`: set, list and delete an organization's secrets; a value is typed or piped, never an argument."""

import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from perdure.cli.api import Api, Key, client
from perdure.cli.output import AsJson, DataDir, emit, explained, out
from workers.devstack.errors import StackError
from workers.devstack.stack import DEFAULT_FOLDER

app = typer.Typer(help="Secrets that definitions read as $secrets.<name>.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Letters, digits and _.")]


@app.command("set")
def set_secret(
    name: Name,
    api: Api = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Set a value, read from standard input (one newline at its end is dropped) or asked for."""
    with explained(as_json), client(api, key, data_dir) as connected:
        stored = connected.put(_path(name), {"value": _value(name)})
    if as_json:
        emit(stored)
    else:
        out.print(f"{stored['name']} is set: version {stored['version']}.", markup=False)


@app.command("list")
def list_secrets(
    api: Api = None, key: Key = None, data_dir: DataDir = DEFAULT_FOLDER, as_json: AsJson = False
) -> None:
    """Names, versions and when each was set; values cannot be read back."""
    with explained(as_json), client(api, key, data_dir) as connected:
        items: list[dict[str, Any]] = connected.get("/v1/secrets")["items"]
    if as_json:
        emit({"items": items})
        return
    table = Table("name", "version", "set at", "by")
    for item in items:
        table.add_row(item["name"], str(item["version"]), item["updated_at"], item["updated_by"])
    out.print(table)


@app.command("delete")
def delete_secret(
    name: Name,
    api: Api = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Delete a secret; steps that read it fail from now on."""
    with explained(as_json), client(api, key, data_dir) as connected:
        connected.delete(_path(name))
    if as_json:
        emit({"deleted": name})
    else:
        out.print(f"{name} is deleted.", markup=False)


def _path(name: str) -> str:
    return f"/v1/secrets/{quote(name, safe='')}"


def _value(name: str) -> str:
    if sys.stdin.isatty():
        typed: str = typer.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    try:
        value = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise StackError("The value is not UTF-8.", "Encode it first, for example with `base64`.") from None
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise StackError(
            "There is no value on standard input.", f"For example `perdure secrets set {name} < file`."
        )
    return value

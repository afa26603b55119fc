"""`secrets`: set, list and delete an organization's secrets; a value is typed or piped, never an argument."""

import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from perdure.cli.api import Client
from perdure.cli.asking import asking
from perdure.cli.output import line, listing, out
from workers.devstack.errors import StackError

app = typer.Typer(help="Secrets that definitions read as $secrets.<name>.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Letters, digits and _.")]


@app.command("set")
@asking
def set_secret(perdure: Client, name: Name) -> None:
    """Set a value, read from standard input (one newline at its end is dropped) or asked for."""
    stored = perdure.put(_path(name), {"value": _value(name)})
    perdure.answer(stored, lambda now: line(out, f"{now['name']} is set: version {now['version']}."))


@app.command("list")
@asking
def list_secrets(perdure: Client) -> None:
    """Names, versions and when each was set; values cannot be read back."""
    perdure.answer({"items": perdure.get("/v1/secrets")["items"]}, _tell_list)


@app.command("delete")
@asking
def delete_secret(perdure: Client, name: Name) -> None:
    """Delete a secret; steps that read it fail from now on."""
    perdure.delete(_path(name))
    perdure.answer({"deleted": name}, lambda _: line(out, f"{name} is deleted."))


def _tell_list(page: dict[str, Any]) -> None:
    listing(
        ("name", "version", "set at", "by"),
        (
            (each["name"], str(each["version"]), each["updated_at"], each["updated_by"])
            for each in page["items"]
        ),
        none="There is none. `perdure secrets set NAME` sets one.",
    )


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

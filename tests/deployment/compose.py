"""docker-compose.yml and the Dockerfile as values, read the way Docker reads them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from perdure.cli.env import fresh

PROJECT = Path(__file__).resolve().parents[2]
FILE = PROJECT / "docker-compose.yml"
OURS = "perdure:"

_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:[-?])([^}]*))?\})")


def fresh_secrets() -> dict[str, str]:
    """What `perdure env` writes, as `docker compose` reads it from `.env`."""
    lines = (line for line in fresh().splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def raw() -> dict[str, Any]:
    """The file with its anchors and merges resolved, variables as they stand."""
    parsed: dict[str, Any] = json.loads(json.dumps(YAML(typ="safe").load(FILE)))
    return parsed


def variables() -> dict[str, str | None]:
    """Each variable of the file with its default, None for one that must be given."""
    found: dict[str, str | None] = {}
    for _, name, operator, word in _VARIABLE.findall(_without_comments()):
        if name:
            found[name] = word if operator == ":-" else None
    return found


def _without_comments() -> str:
    return "\n".join(line for line in FILE.read_text().splitlines() if not line.lstrip().startswith("#"))


def load(environment: Mapping[str, str]) -> dict[str, Any]:
    """The file as `docker compose config` shows it. Raises AssertionError for a variable that is missing."""
    filled: dict[str, Any] = _fill(raw(), environment)
    return filled


def _fill(value: Any, environment: Mapping[str, str]) -> Any:
    match value:
        case str():
            return _VARIABLE.sub(lambda found: _word(found, environment), value)
        case dict():
            return {key: _fill(each, environment) for key, each in value.items()}
        case list():
            return [_fill(each, environment) for each in value]
    return value


def _word(found: re.Match[str], environment: Mapping[str, str]) -> str:
    dollar, name, operator, word = found.groups()
    if dollar:
        return "$"
    given = environment.get(name, "")
    assert given or operator == ":-", f"{name}: {word or 'not set'}"
    return given or word


def is_ours(service: Mapping[str, Any]) -> bool:
    return str(service["image"]).startswith(OURS)


def is_job(service: Mapping[str, Any]) -> bool:
    """A service that ends: restarted on failure only."""
    return str(service["restart"]).startswith("on-failure")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (PROJECT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    pairs = (line.split(None, 1) for line in lines if line.strip())
    return [(word.upper(), " ".join(rest.split())) for word, rest in pairs]

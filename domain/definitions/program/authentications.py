"""Authentications that a definition refers to by name take their place in the arguments of the call.

Only what the definition writes is looked at: a name that arrives with data stays data.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from domain import uris
from domain.http_authentications import PLACES


def with_authentications(arguments: Mapping[str, Any], policies: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with `{use: name}` replaced by the policy of that name, and secrets of policies by expressions
    that read them, so that they are withheld like every other secret."""
    result = dict(arguments)
    for path in PLACES:
        result = _replaced(result, path, policies)
    return result


def _replaced(value: Mapping[str, Any], path: tuple[str, ...], policies: Mapping[str, Any]) -> dict[str, Any]:
    """A copy along the path; the definition itself is never changed."""
    inner = value.get(path[0])
    if not isinstance(inner, dict):
        return dict(value)
    changed = _policy(inner, policies) if len(path) == 1 else _replaced(inner, path[1:], policies)
    return {**value, path[0]: changed}


def _policy(written: Mapping[str, Any], policies: Mapping[str, Any]) -> dict[str, Any]:
    policy = policies[written["use"]] if "use" in written else written
    return {scheme: _settings(settings) for scheme, settings in policy.items()}


def _settings(settings: Any) -> Any:
    if isinstance(settings, dict) and "use" in settings:
        return {"use": f"${{ $secrets.{settings['use']} }}"}
    return settings


def addresses(arguments: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a call in which `{name}` stands for a variable, as the definition writes them."""
    document = arguments.get("document")
    endpoints = [arguments.get("endpoint"), document.get("endpoint") if isinstance(document, dict) else None]
    policies = [arguments.get("authentication")]
    for endpoint in endpoints:
        yield from _texts([endpoint.get("uri") if isinstance(endpoint, dict) else endpoint])
        policies.append(endpoint.get("authentication") if isinstance(endpoint, dict) else None)
    for policy in policies:
        for settings in policy.values() if isinstance(policy, dict) else ():
            if isinstance(settings, dict):
                endpoints_of = settings.get("endpoints")
                yield from _texts([settings.get("authority")])
                yield from _texts(endpoints_of.values() if isinstance(endpoints_of, dict) else ())


def uri_variables(arguments: Mapping[str, Any]) -> frozenset[str]:
    """The `{names}` its addresses are written with."""
    return frozenset[str]().union(*(uris.names(address) for address in addresses(arguments)))


def _texts(values: Any) -> Iterator[str]:
    return (value for value in values if isinstance(value, str))

"""What a call authenticates with: written out, or the content of one secret."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue, ValidationError

from activities.actions.refusals import explain
from domain.definitions.faults import Fault
from domain.http_authentications import SCHEMES, Authentication, FromSecret, Grant, OAuth2, Policy
from domain.uris import expand


def credentials(
    authentication: Authentication | None, variables: Mapping[str, JsonValue]
) -> tuple[str, Policy] | None:
    """The scheme and its policy, with `{name}` of its addresses filled in. Raises Fault for a secret that is none."""
    if authentication is None:
        return None
    [(scheme, policy)] = authentication.given.items()
    if isinstance(policy, FromSecret):
        return scheme, _opened(scheme, policy.use)
    return scheme, _expanded(policy, variables) if isinstance(policy, Grant) else policy


def _opened(scheme: str, content: str) -> Policy:
    model = SCHEMES[scheme]
    given = _parsed(scheme, content)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise _unfit(scheme, explain(error, model, given)) from None


def _parsed(scheme: str, content: str) -> Any:
    """JSON of what one would write in the definition; short forms are `user:password` and the bare token."""
    if content.lstrip().startswith("{"):
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise _unfit(scheme, "it begins like JSON but is none") from None
    if scheme == "bearer":
        return {"token": content.strip()}
    username, colon, password = content.strip().partition(":")
    if scheme in ("basic", "digest") and colon:
        return {"username": username, "password": password}
    hint = "it is neither JSON nor user:password" if scheme in ("basic", "digest") else "it is not JSON"
    raise _unfit(scheme, hint)


def _unfit(scheme: str, why: str) -> Fault:
    fields = ", ".join(
        f'"{name}"' for name, field in SCHEMES[scheme].model_fields.items() if field.is_required()
    )
    detail = f"the secret of `{scheme}` cannot be used: {why}; store JSON with {fields}"
    return Fault("configuration", 400, "Secret unusable", detail)


def _expanded(policy: Grant, variables: Mapping[str, JsonValue]) -> Grant:
    changed: dict[str, Any] = {"authority": expand(policy.authority, variables)}
    if isinstance(policy, OAuth2) and policy.endpoints is not None:
        endpoints = {name: expand(text, variables) for name, text in policy.endpoints}
        changed["endpoints"] = policy.endpoints.model_copy(update=endpoints)
    return policy.model_copy(update=changed)

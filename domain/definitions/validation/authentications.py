"""Authentications: policies of `use.authentications`, and those that a call refers to or writes out."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from domain.actions import ActionSpec
from domain.definitions.expressions import is_expression
from domain.definitions.model import PROTOCOLS, REFUSED_FILE, SECRETS, STEP_SCOPE
from domain.definitions.pointers import join
from domain.definitions.validation.certainty import is_open
from domain.definitions.validation.components import Components
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.report import Report, kind, shown
from domain.http_authentications import (
    CLIENT_CREDENTIALS,
    CLIENT_METHODS,
    ENCODINGS,
    GRANTS,
    PASSWORD,
    PLACES,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE,
)
from domain.secrets import is_name

_SCHEMES: Final = ("basic", "bearer", "digest", "oauth2", "oidc")
_WRITTEN: Final = {
    "basic": ("username", "password"),
    "bearer": ("token",),
    "digest": ("username", "password"),
}
_TEXTS: Final = frozenset({"authority", "username", "password"})
_LISTS: Final = frozenset({"issuers", "scopes", "audiences"})
_GRANT_FIELDS: Final = _TEXTS | _LISTS | {"grant", "client", "request", "subject", "actor"}
_CLIENT_FIELDS: Final = frozenset({"id", "secret", "assertion", "authentication"})
_ENDPOINTS: Final = frozenset({"token", "revocation", "introspection"})
#: Of the language, but the DSL has no field for the code, and only a person at a browser can get one.
_BY_PEOPLE: Final = "authorization_code"


def check_authentication(
    report: Report,
    expressions: Expressions,
    pointer: str,
    policy: Mapping[str, Any],
    names: Names = STEP_SCOPE,
) -> None:
    """One of `use.authentications`. `names` are what every step that refers to it can read."""
    expressions.template(pointer, dict(policy), names | SECRETS, mixed=True)
    if "use" in policy:
        message = "An authentication of `use.authentications` cannot refer to another one."
        report.add(join(pointer, "use"), "bad_reference", message, "Write it out here.")
    else:
        _check_policy(report, expressions, pointer, policy)


def check_call_authentications(
    report: Report,
    expressions: Expressions,
    components: Components,
    pointer: str,
    given: Mapping[str, Any],
    spec: ActionSpec,
    names: Names,
) -> None:
    """Wherever the arguments of a call hold an authentication; their expressions are checked with the others."""
    if spec.name not in PROTOCOLS.values():
        return
    for path in PLACES:
        value: Any = given
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            continue
        at = join(pointer, *path)
        policy = report.object(at, value, "An authentication")
        if policy is None:
            continue
        if "use" in policy:
            _check_reference(report, components, at, policy, names)
        else:
            _check_policy(report, expressions, at, policy)


def _check_reference(
    report: Report, components: Components, at: str, policy: Mapping[str, Any], names: Names
) -> None:
    report.unknown_fields(at, policy, {"use"}, "A reference to an authentication")
    name = report.text(join(at, "use"), policy["use"], "The name of an authentication")
    if name is None:
        return
    if is_open(name):
        message = "An authentication is named in the definition, not computed."
        report.add(join(at, "use"), "unknown_authentication", message, "Write one of `use.authentications`.")
    else:
        components.refer(report, "authentications", join(at, "use"), name, names)


def _check_policy(report: Report, expressions: Expressions, at: str, policy: Mapping[str, Any]) -> None:
    if "certificate" in policy:
        message = "Client certificates are not part of DSL 1.0.3, and not supported by this version."
        hint = f"Use one of {', '.join(_SCHEMES)}."
        report.add(join(at, "certificate"), "unknown_field", message, hint)
    rest = {name: value for name, value in policy.items() if name != "certificate"}
    report.unknown_fields(at, rest, _SCHEMES, "An authentication")
    found = [scheme for scheme in _SCHEMES if scheme in policy]
    if len(found) > 1:
        message = (
            f"An authentication has one scheme, but this one says {', '.join(f'`{each}`' for each in found)}."
        )
        report.add(at, "several_choices", message, "Keep one of them.")
    elif not policy:
        message = "An authentication says how to prove who calls."
        report.add(at, "missing_field", message, f"Write one of {', '.join(_SCHEMES)}.")
    for scheme in found if len(found) == 1 else ():
        _check_scheme(report, expressions, join(at, scheme), scheme, policy[scheme])


def _check_scheme(report: Report, expressions: Expressions, at: str, scheme: str, value: Any) -> None:
    settings = report.object(at, value, f"`{scheme}`")
    if settings is None:
        return
    if "use" in settings:
        _check_secret(report, expressions, at, scheme, settings)
    elif scheme in _WRITTEN:
        report.unknown_fields(at, settings, {*_WRITTEN[scheme], "use"}, f"`{scheme}`")
        for name in _WRITTEN[scheme]:
            _check_text(report, at, settings, name, f"`{scheme}` needs `{name}`.")
    else:
        _check_grant(report, at, scheme, settings)


def _check_secret(
    report: Report, expressions: Expressions, at: str, scheme: str, settings: Mapping[str, Any]
) -> None:
    place = join(at, "use")
    report.unknown_fields(at, settings, {"use"}, f"`{scheme}` from a secret")
    name = report.text(place, settings["use"], "The name of a secret")
    if name is None:
        return
    if is_name(name):
        expressions.secrets.setdefault(name, place)
        return
    message = f"`{shown(name)}` cannot be the name of a secret."
    hint = "Use letters, digits and underscores, and begin with no digit; at most 64."
    report.add(place, "unnamed_secret", message, hint)


def _check_grant(report: Report, at: str, scheme: str, settings: Mapping[str, Any]) -> None:
    known = _GRANT_FIELDS | {"endpoints", "use"} if scheme == "oauth2" else _GRANT_FIELDS | {"use"}
    report.unknown_fields(at, settings, known, f"`{scheme}`")
    if _check_text(
        report, at, settings, "authority", f"`{scheme}` needs its `authority`, where tokens come from."
    ):
        _check_authority(report, join(at, "authority"), settings["authority"])
    for name in sorted((_TEXTS - {"authority"}) & settings.keys()):
        _check_text(report, at, settings, name)
    for name in sorted(_LISTS & settings.keys()):
        _check_list(report, join(at, name), settings[name], name)
    for name in ("subject", "actor"):
        token = report.object(join(at, name), settings[name], f"`{name}`") if name in settings else None
        if token is not None:
            report.unknown_fields(join(at, name), token, {"token", "type"}, f"`{name}`")
            for part in ("token", "type"):
                _check_text(report, join(at, name), token, part, f"`{name}` needs its `{part}`.")
    for name, fields in (("endpoints", _ENDPOINTS), ("request", frozenset({"encoding"}))):
        inner = report.object(join(at, name), settings[name], f"`{name}`") if name in settings else None
        if inner is not None and name in known:
            report.unknown_fields(join(at, name), inner, fields, f"`{name}`")
            for part in sorted(_ENDPOINTS & inner.keys()):
                _check_text(report, join(at, name), inner, part)
            if name == "request" and "encoding" in inner:
                _check_choice(report, join(at, name, "encoding"), inner["encoding"], ENCODINGS, "`encoding`")
    client = report.object(join(at, "client"), settings.get("client", {}), "`client`")
    if client is not None:
        _check_client(report, join(at, "client"), client)
    _check_grant_type(report, at, scheme, settings, client or {})


def _check_grant_type(
    report: Report, at: str, scheme: str, settings: Mapping[str, Any], client: Mapping[str, Any]
) -> None:
    place, grant = join(at, "grant"), settings.get("grant")
    if "grant" not in settings:
        hint = f"Write one of {', '.join(GRANTS)}."
        report.add(at, "missing_field", f"`{scheme}` needs a `grant`: how a token is asked for.", hint)
        return
    if grant == _BY_PEOPLE:
        hint = f"Use `{CLIENT_CREDENTIALS}`, or `{REFRESH_TOKEN}` with a token that a person has got."
        report.unsupported(place, f"The grant `{grant}`, which needs a person at a browser,", hint)
        return
    if not _check_choice(report, place, grant, GRANTS, "`grant`"):
        return
    if "client" not in settings and grant == CLIENT_CREDENTIALS:
        message = f"The grant `{CLIENT_CREDENTIALS}` needs a `client`."
        report.add(at, "missing_credentials", message, "Add `client` with its `id` and `secret`.")
    needed = {PASSWORD: ("username", "password"), REFRESH_TOKEN: ("subject",), TOKEN_EXCHANGE: ("subject",)}
    for name in needed.get(str(grant), ()):
        if name not in settings:
            what = "the token to exchange as `subject`" if name == "subject" else f"`{name}`"
            message = f"The grant `{shown(str(grant))}` needs {what}."
            report.add(at, "missing_credentials", message, f"Add `{name}`.")


def _check_client(report: Report, at: str, client: Mapping[str, Any]) -> None:
    report.unknown_fields(at, client, _CLIENT_FIELDS, "A client")
    for name in sorted((_CLIENT_FIELDS - {"authentication"}) & client.keys()):
        _check_text(report, at, client, name)
    method = client.get("authentication", "client_secret_post")
    if not _check_choice(report, join(at, "authentication"), method, CLIENT_METHODS, "`authentication`"):
        return
    needed = {"private_key_jwt": ("id", "assertion"), "client_secret_jwt": ("id", "secret"), "none": ()}
    for name in needed.get(str(method), ("id",)) if client else ():
        if name not in client:
            message = f"A client that authenticates by `{method}` needs its `{name}`."
            report.add(at, "missing_credentials", message, f"Add `{name}`.")


def _check_text(
    report: Report, at: str, fields: Mapping[str, Any], name: str, missing: str | None = None
) -> bool:
    """Whether a text stands there; nothing is told of what may be left out (without `missing`)."""
    if name not in fields:
        if missing is not None:
            report.add(
                at, "missing_field", missing, f"Add `{name}`, best as `${{ $secrets.… }}` if it is secret."
            )
        return False
    if isinstance(fields[name], str):
        return True
    hint = "Write it in quotes." if isinstance(fields[name], int | float) else None
    report.add(join(at, name), "wrong_type", f"`{name}` must be a text, not {kind(fields[name])}.", hint)
    return False


def _check_list(report: Report, at: str, value: Any, name: str) -> None:
    if not isinstance(value, list):
        message = f"`{name}` must be a list of texts, not {kind(value)}."
        report.add(at, "wrong_type", message, "Write `- …` for each.")
        return
    for index, each in enumerate(value):
        report.text(join(at, index), each, f"An entry of `{name}`")


def _check_choice(report: Report, at: str, value: Any, options: tuple[str, ...], what: str) -> bool:
    if value in options:
        return True
    message = f"{what} is one of {', '.join(f'`{each}`' for each in options)}."
    report.add(
        at, "bad_value", message, report.did_you_mean(value, options) if isinstance(value, str) else None
    )
    return False


def _check_authority(report: Report, at: str, authority: str) -> None:
    if is_expression(authority) or authority.startswith(("${", "{")):
        return
    try:
        found = urlsplit(authority)
    except ValueError:
        found = urlsplit("")
    if found.scheme.lower() == "file":
        report.refused(at, "A `file:` address", REFUSED_FILE)
    elif found.scheme.lower() not in ("http", "https") or not found.netloc:
        message = "An authority begins with https:// or http://."
        report.add(at, "bad_address", message, "Write its whole address.")

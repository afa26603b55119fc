"""Authentications from the definition to the call: validated where they stand, resolved where the program is loaded."""

from typing import Any

import pytest

from domain.definitions.commands import CallAction
from domain.definitions.documents import load
from domain.definitions.publishing import publish
from domain.definitions.validation import validate
from domain.errors import Problem
from tests.domain.sample_catalogue import CATALOGUE
from tests.factories.driver import execute

GRANT = "authority: 'https://a.example/realm', grant: client_credentials, client: {id: i, secret: s}"


def problems(authentication: str, *, use: str = "{}", severity: str = "error") -> list[Problem]:
    """Those of one call with this authentication; pointers begin behind it."""
    call = f"{{method: get, endpoint: {{uri: 'https://x.example', authentication: {authentication}}}}}"
    text = f"use: {use}\ndo:\n- ask: {{call: http, with: {call}}}\n"
    found = validate(load(text).value, catalogue=CATALOGUE, secrets={"known"})
    return [each for each in found if each.severity == severity]


def told(*args: Any, **kwargs: Any) -> set[tuple[str, str]]:
    place = "/do/0/ask/with/endpoint/authentication"
    return {(each.pointer.removeprefix(place), each.code) for each in problems(*args, **kwargs)}


@pytest.mark.parametrize(
    "authentication",
    [
        "{basic: {username: a, password: '${ $secrets.known }'}}",
        "{basic: {use: known}}",
        "{bearer: {token: 'pre-${ .token }'}}",
        "{digest: {username: '', password: ''}}",
        f"{{oauth2: {{{GRANT}}}}}",
        f"{{oauth2: {{{GRANT}, scopes: [a, '${{ .b }}'], audiences: [], issuers: [x]}}}}",
        f"{{oauth2: {{{GRANT}, endpoints: {{token: /t, revocation: /r, introspection: /i}}}}}}",
        f"{{oidc: {{{GRANT}, request: {{encoding: application/json}}}}}}",
        "{oidc: {authority: '${ .where }', grant: password, username: a, password: b}}",
        "{oauth2: {authority: 'https://{host}/x', grant: refresh_token, subject: {token: a, type: b}}}",
        "{oauth2: {use: known}}",
        "{use: login}",
    ],
)
def test_sound_authentications(authentication: str) -> None:
    use = "{authentications: {login: {bearer: {token: '${ $secrets.known }'}}}}"
    assert told(authentication, use=use) == set()


@pytest.mark.parametrize(
    ("authentication", "expected"),
    [
        ("{}", {("", "missing_field")}),
        ("[]", {("", "wrong_type")}),
        ("'${ .auth }'", {("", "wrong_type")}),
        ("{basc: {username: a, password: b}}", {("/basc", "unknown_field")}),
        ("{certificate: {}}", {("/certificate", "unknown_field")}),
        ("{basic: {username: a, password: b}, bearer: {token: c}}", {("", "several_choices")}),
        ("{basic: {username: a}}", {("/basic", "missing_field")}),
        ("{basic: {username: a, password: 1234}}", {("/basic/password", "wrong_type")}),
        ("{basic: {username: a, password: b, realm: c}}", {("/basic/realm", "unknown_field")}),
        ("{basic: {use: a, username: b}}", {("/basic/username", "unknown_field")}),
        ("{basic: {use: 'not-a-name'}}", {("/basic/use", "unnamed_secret")}),
        ("{basic: {use: '${ .which }'}}", {("/basic/use", "unnamed_secret")}),
        ("{bearer: '${ .token }'}", {("/bearer", "wrong_type")}),
        ("{bearer: {token: '${ .token | }'}}", {("/bearer/token", "bad_expression")}),
        ("{bearer: {token: '${ $nobody }'}}", {("/bearer/token", "unknown_variable")}),
        ("{use: logn}", {("/use", "unknown_authentication")}),
        ("{use: '${ .which }'}", {("/use", "unknown_authentication")}),
        ("{use: login, basic: {username: a, password: b}}", {("/basic", "unknown_field")}),
        ("{oauth2: {}}", {("/oauth2", "missing_field")}),
        (f"{{oauth2: {{{GRANT}, scope: a}}}}", {("/oauth2/scope", "unknown_field")}),
        (f"{{oauth2: {{{GRANT}, scopes: a}}}}", {("/oauth2/scopes", "wrong_type")}),
        (f"{{oauth2: {{{GRANT}, scopes: [1]}}}}", {("/oauth2/scopes/0", "wrong_type")}),
        (f"{{oidc: {{{GRANT}, endpoints: {{}}}}}}", {("/oidc/endpoints", "unknown_field")}),
        (f"{{oauth2: {{{GRANT}, endpoints: {{tokn: /t}}}}}}", {("/oauth2/endpoints/tokn", "unknown_field")}),
        (f"{{oauth2: {{{GRANT}, request: {{encoding: xml}}}}}}", {("/oauth2/request/encoding", "bad_value")}),
        (f"{{oauth2: {{{GRANT}, actor: {{token: a}}}}}}", {("/oauth2/actor", "missing_field")}),
        (
            "{oauth2: {authority: 'file:///etc/passwd', grant: client-credentials}}",
            {("/oauth2/authority", "refused"), ("/oauth2/grant", "bad_value")},
        ),
        ("{oidc: {authority: keycloak, grant: authorization_code}}",
         {("/oidc/authority", "bad_address"), ("/oidc/grant", "not_supported")}),
        ("{oauth2: {authority: 'https://a', grant: client_credentials}}", {("/oauth2", "missing_credentials")}),
        ("{oauth2: {authority: 'https://a', grant: password}}", {("/oauth2", "missing_credentials")}),
        (
            "{oauth2: {authority: 'https://a', grant: 'urn:ietf:params:oauth:grant-type:token-exchange'}}",
            {("/oauth2", "missing_credentials")},
        ),
        (
            "{oauth2: {authority: 'https://a', grant: client_credentials, client: {secret: s}}}",
            {("/oauth2/client", "missing_credentials")},
        ),
        (
            "{oauth2: {authority: 'https://a', grant: client_credentials, client: {id: i, authentication: jwt}}}",
            {("/oauth2/client/authentication", "bad_value")},
        ),
        (
            "{oauth2: {authority: 'https://a', grant: client_credentials,"
            " client: {id: i, authentication: private_key_jwt}}}",
            {("/oauth2/client", "missing_credentials")},
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_authentication(authentication: str, expected: set[tuple[str, str]]) -> None:
    use = "{authentications: {login: {bearer: {token: abc}}}}"
    assert told(authentication, use=use) == expected


def test_the_credentials_of_a_call_are_no_data() -> None:
    call = "call: http, with: {method: get, endpoint: 'https://x.example'}"
    text = f"do:\n- ask: {{{call}, output: {{as: $authorization}}}}\n"
    [problem] = validate(load(text).value, catalogue=CATALOGUE)
    assert (problem.pointer, problem.code) == ("/do/0/ask/output/as", "refused")


def test_every_problem_says_how_to_mend_it() -> None:
    [unknown] = problems("{use: logn}", use="{authentications: {login: {bearer: {token: abc}}}}")
    assert unknown.suggestion == "Did you mean `login`?"
    [grant] = problems("{oauth2: {authority: 'https://a', grant: client-credentials}}")
    assert grant.suggestion == "Did you mean `client_credentials`?"
    [number] = problems("{basic: {username: a, password: 1234}}")
    assert number.suggestion == "Write it in quotes."


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("{basic: {username: a}}", {("/use/authentications/login/basic", "missing_field")}),
        ("{use: other}", {("/use/authentications/login/use", "bad_reference")}),
        (
            "{bearer: {token: '${ $item }'}}",
            {("/use/authentications/login/bearer/token", "unknown_variable")},
        ),
        ("text", {("/use/authentications/login", "wrong_type")}),
    ],
)
def test_policies_of_use(policy: str, expected: set[tuple[str, str]]) -> None:
    assert told("{use: login}", use=f"{{authentications: {{login: {policy}}}}}") == expected


def test_a_policy_reads_what_all_who_refer_to_it_can_read() -> None:
    text = """
use: {authentications: {login: {bearer: {token: "${ $each.token }"}}}}
do:
- all:
    for: {in: .list, each: each}
    do:
    - ask: {call: http, with: {method: get, endpoint: {uri: https://x.example, authentication: {use: login}}}}
"""
    assert validate(load(text).value, catalogue=CATALOGUE) == []


def test_secrets_are_known_by_either_form() -> None:
    warnings = problems("{basic: {use: unknwn}}", severity="warning")
    assert [(each.code, each.pointer.rpartition("/")[2]) for each in warnings] == [("unknown_secret", "use")]
    assert problems("{basic: {use: known}}", severity="warning") == []
    [undeclared] = problems("{basic: {use: known}}", use="{secrets: [other]}")
    assert undeclared.code == "undeclared_secret"
    assert problems("{basic: {use: known}}", use="{secrets: [known]}") == []


@pytest.mark.parametrize(
    ("call", "place"),
    [
        ("{document: {endpoint: {uri: 'https://x', authentication: {use: no}}}, operationId: a}",
         "/document/endpoint/authentication/use"),
        ("{document: {endpoint: 'https://x'}, operationId: a, authentication: {use: no}}", "/authentication/use"),
        ("{document: {endpoint: 'file:///x'}, operationId: a}", "/document/endpoint"),
        ("{document: {endpoint: 'petstore.json'}, operationId: a}", "/document/endpoint"),
    ],
)  # fmt: skip
def test_calls_of_openapi(call: str, place: str) -> None:
    found = validate(load(f"do:\n- ask: {{call: openapi, with: {call}}}\n").value, catalogue=CATALOGUE)
    assert [each.pointer for each in found] == ["/do/0/ask/with" + place]


def test_a_configured_action_refers_to_a_policy_too() -> None:
    endpoint = {"uri": "https://x.example", "authentication": {"use": "logn"}}
    actions = [{"name": "ask", "uses": "http", "with": {"method": "get", "endpoint": endpoint}}]
    definition = load(
        "use: {authentications: {login: {bearer: {token: a}}}}\ndo:\n- one: {call: ask}\n"
    ).value
    found = validate(definition, actions=actions, catalogue=CATALOGUE)
    at = "/actions/0/with/endpoint/authentication/use"
    assert [(each.pointer, each.code) for each in found if each.severity == "error"] == [
        (at, "unknown_authentication")
    ]
    endpoint["authentication"] = {"use": "login"}
    assert validate(definition, actions=actions, catalogue=CATALOGUE) == []
    publish(definition, name="a", namespace="b", actions=actions, catalogue=CATALOGUE)


# The program


def arguments(steps: str, input: Any = None, **parts: Any) -> tuple[Any, Any]:
    """Of the first call: its arguments, and what it withholds."""
    execution = execute(steps, input, {"ask": None}, **parts)
    command = next(each for each in execution.commands if isinstance(each, CallAction))
    return command.arguments, execution.program.steps["/do/0/ask"].work


def test_a_policy_takes_the_place_of_its_name() -> None:
    given, work = arguments(
        "- ask: {call: http, with: {method: get, endpoint: {uri: 'https://x/{id}', authentication: {use: a}}}}",
        {"id": 7, "token": "abc", "realm": "r"},
        use={
            "authentications": {
                "a": {
                    "oauth2": {
                        "authority": "https://o.example/{realm}",
                        "grant": "client_credentials",
                        "client": {"id": "${ .id | tostring }", "secret": "${ $secrets.key }"},
                    }
                }
            }
        },
    )
    policy = given["endpoint"]["authentication"]["oauth2"]
    assert policy["client"] == {"id": "7", "secret": "${ $secrets.key }"}, "the secret is withheld"
    assert given["variables"] == {"id": 7, "realm": "r"}
    assert work.secrets == {"key"}


def test_a_secret_form_reads_its_secret_where_the_call_is_made() -> None:
    given, work = arguments(
        "- ask: {call: openapi, with: {document: {endpoint: {uri: 'https://{h}/d', authentication: {use: a}}},"
        " operationId: go, authentication: {digest: {use: theirs}}}}",
        {"h": "x"},
        use={"authentications": {"a": {"basic": {"use": "ours"}}}},
    )
    assert given["authentication"] == {"digest": {"use": "${ $secrets.theirs }"}}
    assert given["document"]["endpoint"]["authentication"] == {"basic": {"use": "${ $secrets.ours }"}}
    assert given["variables"] == {"h": "x"}
    assert work.secrets == {"ours", "theirs"}


def test_data_that_looks_like_a_policy_or_a_reference_stays_data() -> None:
    written = {"uri": "https://x", "authentication": {"use": "a"}}
    secret = {"uri": "https://x", "authentication": {"basic": {"use": "ours"}}}
    for endpoint in (written, secret):
        given, work = arguments(
            "- ask: {call: http, with: {method: get, endpoint: '${ .endpoint }'}}",
            {"endpoint": endpoint},
            use={"authentications": {"a": {"basic": {"use": "ours"}}}},
        )
        assert given["endpoint"] == endpoint
        assert work.secrets == frozenset()

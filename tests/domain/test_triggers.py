"""What validation says of triggers: every mistake with its place, and warnings where little is proved."""

from typing import Any

import pytest

from domain.definitions.validation.report import Report
from domain.definitions.validation.triggers import check_triggers
from domain.webhooks.configuration import Configuration
from domain.webhooks.schemes import scheme_of

HMAC = {"scheme": "hmac", "signature": {"header": "X-Sig", "timestamp_header": "X-At"}}
C = "/triggers/0/configuration"


def found(configuration: Any, **trigger: Any) -> dict[str, tuple[str, str]]:
    report = Report()
    check_triggers(report, [{"type": "webhook", "configuration": configuration, **trigger}])
    return {each.pointer: (each.code, each.severity) for each in report.problems}


@pytest.mark.parametrize(
    "configuration",
    [
        {"scheme": "standard-webhooks"},
        {"scheme": "stripe", "tolerance": "PT10M", "wait": "10 seconds"},
        {"scheme": "standard-webhooks", "event_id": {"header": "Webhook-Id"}},
        {
            "scheme": "github",
            "methods": ["POST", "GET"],
            "challenge": "hub",
            "body": "json",
            "event_id": {"expression": ".id"},
        },
        {"scheme": "hmac", "signature": {"header": "X-Sig"}, "event_id": {"expression": ".id"}},
        HMAC,
        {**HMAC, "signature": {**HMAC["signature"], "signs": "v0:{timestamp}:{body}", "prefix": "v0="}},
        {**HMAC, "event_id": {"expression": ".id"}, "deduplicate_within": "PT0S"},
        {**HMAC, "tolerance": "PT1M", "deduplicate_within": "PT121S"},
        {**HMAC, "event_id": {"expression": "${ .data.id }"}, "challenge": "json"},
    ],
)
def test_what_is_sound_and_can_be_parsed(configuration: Any) -> None:
    assert found(configuration) == {}
    assert scheme_of(Configuration.parse(configuration)).needs_secret


@pytest.mark.parametrize("scheme", ["bearer", "basic", "url"])
def test_weak_schemes_are_warned_of(scheme: str) -> None:
    assert found({"scheme": scheme}) == {f"{C}/scheme": ("weak_scheme", "warning")}


def test_a_signature_without_a_moment_is_warned_of() -> None:
    bare = {"scheme": "hmac", "signature": {"header": "X-Sig"}}
    assert found(bare) == {f"{C}/signature": ("replayable", "warning")}


def test_github_signs_neither_a_moment_nor_its_ids() -> None:
    assert found({"scheme": "github"}) == {f"{C}/scheme": ("replayable", "warning")}


@pytest.mark.parametrize(
    ("configuration", "header"),
    [({"scheme": "stripe"}, "X-Id"), (HMAC, "X-Id"), ({"scheme": "standard-webhooks"}, "svix-id")],
)
def test_an_event_id_in_an_unsigned_header_is_warned_of(configuration: Any, header: str) -> None:
    given = {**configuration, "event_id": {"header": header}}
    assert found(given) == {f"{C}/event_id/header": ("replayable", "warning")}


@pytest.mark.parametrize("configuration", [HMAC, {"scheme": "stripe"}])
@pytest.mark.parametrize("window", ["PT0S", "PT5M", "PT600S"])
def test_a_window_shorter_than_a_copy_is_believed_is_made_longer(configuration: Any, window: str) -> None:
    given = {**configuration, "deduplicate_within": window}
    assert found(given) == {f"{C}/deduplicate_within": ("too_short", "warning")}
    assert Configuration.parse(given).window == 601
    assert Configuration.parse({**given, "deduplicate_within": "PT1H"}).window == 3_600


def test_without_a_signed_moment_the_window_is_as_written() -> None:
    for configuration in ({"scheme": "github"}, {"scheme": "hmac", "signature": {"header": "X-Sig"}}):
        assert Configuration.parse({**configuration, "deduplicate_within": "PT0S"}).window == 0
        assert Configuration.parse(configuration).window == 300


@pytest.mark.parametrize(
    ("configuration", "pointer", "code"),
    [
        ({}, "", "missing_field"),
        ({"scheme": "md5"}, "/scheme", "bad_value"),
        ({"scheme": None}, "/scheme", "bad_value"),
        ({"scheme": "stripe", "secret": "x"}, "/secret", "unknown_field"),
        ({"scheme": "stripe", "signature": {}}, "/signature", "said_twice"),
        ({"scheme": "stripe", "methods": []}, "/methods", "bad_value"),
        ({"scheme": "stripe", "methods": ["DELETE"]}, "/methods", "bad_value"),
        ({"scheme": "stripe", "methods": "POST"}, "/methods", "bad_value"),
        ({"scheme": "stripe", "methods": [[]]}, "/methods", "bad_value"),
        ({"scheme": "stripe", "challenge": "hub"}, "/methods", "bad_value"),
        ({"scheme": "stripe", "body": "yaml"}, "/body", "bad_value"),
        ({"scheme": "stripe", "tolerance": "2 hours"}, "/tolerance", "bad_duration"),
        ({"scheme": "stripe", "tolerance": "PT0S"}, "/tolerance", "bad_duration"),
        ({"scheme": "stripe", "tolerance": []}, "/tolerance", "bad_duration"),
        ({"scheme": "stripe", "wait": "PT31S"}, "/wait", "bad_duration"),
        ({"scheme": "stripe", "deduplicate_within": "2 days"}, "/deduplicate_within", "bad_duration"),
        ({"scheme": "stripe", "event_id": "x"}, "/event_id", "wrong_type"),
        ({"scheme": "stripe", "event_id": {}}, "/event_id", "bad_value"),
        ({"scheme": "stripe", "event_id": {"header": "a", "expression": "b"}}, "/event_id", "bad_value"),
        ({"scheme": "stripe", "event_id": {"header": "a b"}}, "/event_id/header", "bad_value"),
        ({"scheme": "stripe", "event_id": {"expression": 3}}, "/event_id/expression", "bad_value"),
        ({"scheme": "stripe", "event_id": {"expression": ".a |"}}, "/event_id/expression", "bad_expression"),
        (
            {"scheme": "stripe", "event_id": {"expression": "$context.id"}},
            "/event_id/expression",
            "bad_expression",
        ),
        ({"scheme": "stripe", "event_id": {"expression": "." * 5000}}, "/event_id/expression", "bad_value"),
        ({"scheme": "hmac"}, "/signature", "wrong_type"),
    ],
)
def test_what_is_wrong(configuration: Any, pointer: str, code: str) -> None:
    assert found(configuration)[C + pointer] == (code, "error")


@pytest.mark.parametrize(
    ("how", "pointer", "code"),
    [
        ({"algorithm": "sha1"}, "/algorithm", "refused"),
        ({"algorithm": "md5"}, "/algorithm", "bad_value"),
        ({"encoding": "base32"}, "/encoding", "bad_value"),
        ({"header": "X Sig"}, "/header", "bad_value"),
        ({"header": None}, "/header", "bad_value"),
        ({"timestamp_header": 3}, "/timestamp_header", "bad_value"),
        ({"prefix": "\n"}, "/prefix", "bad_value"),
        ({"prefix": "x" * 101}, "/prefix", "bad_value"),
        ({"signs": "{timestamp}"}, "/signs", "unsafe"),
        ({"signs": "{body}"}, "/signs", "unsafe"),
        ({"sha": 1}, "/sha", "unknown_field"),
    ],
)
def test_what_is_wrong_with_a_signature(how: Any, pointer: str, code: str) -> None:
    configuration = {**HMAC, "signature": {**HMAC["signature"], **how}}
    assert found(configuration)[f"{C}/signature{pointer}"] == (code, "error")


def test_an_unsigned_moment_proves_nothing() -> None:
    how = {"header": "X-Sig", "signs": "{timestamp}.{body}"}
    assert found({"scheme": "hmac", "signature": how})[f"{C}/signature/signs"] == ("unsafe", "error")


@pytest.mark.parametrize("name", ["", "two words", "-a", "x" * 64, "ä"])
def test_names_are_short_and_plain(name: str) -> None:
    assert found({"scheme": "stripe"}, name=name)["/triggers/0/name"] == ("bad_name", "error")


def test_names_are_unique_also_those_nobody_wrote() -> None:
    report = Report()
    webhook = {"type": "webhook", "configuration": {"scheme": "stripe"}}
    check_triggers(report, [webhook, {"type": "manual"}, {**webhook, "name": "webhook"}])
    assert [(each.pointer, each.code) for each in report.problems] == [("/triggers/2/name", "duplicate_name")]

"""The environment is read strictly, and what is wrong is said without repeating a secret."""

import base64
import ipaddress
import re
from pathlib import Path

import pytest

from workers.settings import Settings, SettingsError
from workers.targets import Target, parse_targets
from workers.urls import asyncpg_dsn, sqlalchemy_url

KEY = base64.b64encode(bytes(range(32))).decode()
COMPLETE = {
    "PERDURE_DATABASE_URL": "postgresql://app:hush@db.example.org/perdure?sslmode=require",
    "PERDURE_MASTER_KEYS": f"new:{KEY},old:{KEY}",
    "PERDURE_TOKEN_SECRET": KEY,
    "PERDURE_PASSWORD_PEPPER": KEY,
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.usefixtures("environment")
def test_a_complete_environment_is_read_into_values() -> None:
    settings = Settings.load()
    assert settings.database_url == "postgresql+asyncpg://app:hush@db.example.org/perdure?ssl=require"
    assert settings.direct_url == settings.database_url
    assert [key.id for key in settings.master_keys] == ["new", "old"]
    assert settings.master_keys[0].key == bytes(range(32))
    assert settings.token_secret == bytes(range(32))
    assert settings.temporal_address == "127.0.0.1:7233"


@pytest.mark.usefixtures("environment")
def test_no_secret_shows_in_the_printed_settings() -> None:
    printed = repr(Settings.load())
    assert "hush" not in printed
    assert KEY not in printed
    assert "x01" not in printed


@pytest.mark.parametrize("name", COMPLETE)
def test_no_secret_has_a_default(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.delenv(name)
    with pytest.raises(SettingsError, match=f"{name} is not set: "):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("PERDURE_DATABASE_URL", "mysql://app:hush@host/db", "must start with postgresql://"),
        ("PERDURE_DATABASE_URL", "postgresql://app:hush@host", "must name the database"),
        (
            "PERDURE_DATABASE_URL",
            "postgresql://app:hush@host/db?sslmode=perhaps",
            "unknown sslmode 'perhaps'",
        ),
        ("PERDURE_MASTER_KEYS", "hush", "key 1 is not name:base64"),
        ("PERDURE_MASTER_KEYS", f"a:{KEY},a:{KEY}", "'a' stands twice"),
        ("PERDURE_MASTER_KEYS", "a:aHVzaA==", "has 4 bytes, exactly 32"),
        ("PERDURE_TOKEN_SECRET", "aHVzaA==", "has 4 bytes, 32 are the least"),
        ("PERDURE_PASSWORD_PEPPER", "hush hush!", "is not base64"),
        ("PERDURE_SMTP_URL", "mail.example.org", "smtp://host:port"),
        ("PERDURE_S3_BUCKET", "A bucket", "3 to 63 small letters"),
        ("PERDURE_S3_ENDPOINT", "s3.example.org", "https://host[:port] without a path"),
        ("PERDURE_S3_ACCESS_KEY", "known", "set both or neither"),
        ("PERDURE_S3_REGION", "", "PERDURE_S3_REGION"),
        ("PERDURE_PUBLIC_URL", "https://example.org/app", "without a path"),
        ("PERDURE_HTTP_ALLOW", "127.0.0.1", "does not end in :port"),
        ("PERDURE_PORT", "99999", "PERDURE_PORT"),
        ("PERDURE_TEMPORAL_TLS_CERT_FILE", "/cert.pem", "set both or neither"),
    ],
)
def test_each_mistake_is_named_with_its_mend(
    environment: pytest.MonkeyPatch, name: str, value: str, complaint: str
) -> None:
    environment.setenv(name, value)
    with pytest.raises(SettingsError) as problem:
        Settings.load()
    assert complaint in str(problem.value)
    assert re.search(name.removesuffix("_CERT_FILE"), str(problem.value))
    assert "hush" not in str(problem.value)


def test_loopback_is_opened_for_one_organization_only(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PERDURE_HTTP_ALLOW", "127.0.0.1/32:8490")
    with pytest.raises(SettingsError, match="PERDURE_DEMO_ORGANIZATION_ID"):
        Settings.load()


def test_targets_are_networks_or_hosts_with_a_port() -> None:
    assert parse_targets("127.0.0.1/32:80, [::1/128]:81, Localhost:82") == (
        Target(80, network=ipaddress.ip_network("127.0.0.1/32")),
        Target(81, network=ipaddress.ip_network("::1/128")),
        Target(82, host="localhost"),
    )
    for wrong in ("10.0.0.0/99:80", "10.0.0:80", "a b:80", "host:0", "host:x", "-x:1"):
        with pytest.raises(ValueError, match=r"port|neither"):
            parse_targets(wrong)


def test_database_addresses_translate_both_ways() -> None:
    neon = "postgres://u:p%40ss@ep-x.neon.tech/db?sslmode=verify-full&channel_binding=require"
    assert sqlalchemy_url(neon) == "postgresql+asyncpg://u:p%40ss@ep-x.neon.tech/db?ssl=verify-full"
    assert asyncpg_dsn(neon) == "postgresql://u:p%40ss@ep-x.neon.tech/db?sslmode=verify-full"
    assert sqlalchemy_url(sqlalchemy_url(neon)) == sqlalchemy_url(neon)


def test_the_example_lists_every_setting() -> None:
    example = (Path(__file__).resolve().parents[2] / ".env.example").read_text()
    listed = set(re.findall(r"^#?(PERDURE_[A-Z0-9_]+)=", example, flags=re.MULTILINE))
    assert listed == {f"PERDURE_{name.upper()}" for name in Settings.model_fields}

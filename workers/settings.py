"""Everything a process of the product learns from its environment, in one place.

Secrets have no default. `Settings.load()` turns what is wrong into one message naming each variable and
its mend; no message repeats a value.
"""

import ipaddress
import uuid
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from workers.secret_values import MasterKey, parse_master_keys, parse_secret
from workers.targets import Target, parse_targets
from workers.urls import sqlalchemy_url

PREFIX = "PERDURE_"


def networks(value: str) -> str:
    """A comma list of IP addresses and networks, as uvicorn reads it. Raises ValueError."""
    for part in filter(None, (part.strip() for part in value.split(","))):
        try:
            ipaddress.ip_network(part, strict=False)
        except ValueError:
            raise ValueError(f"'{part}' is no address or network") from None
    return value


SecretBytes = Annotated[bytes, BeforeValidator(parse_secret)]
DatabaseUrl = Annotated[str, AfterValidator(sqlalchemy_url)]


class SettingsError(Exception):
    """The environment is incomplete or wrong; the message lists every variable and its mend."""


class Settings(BaseSettings):
    """The settings; each field is the variable `PERDURE_<NAME>` (`.env.example` explains them)."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    database_url: DatabaseUrl = Field(repr=False)
    """SQLAlchemy spelling (`postgresql+asyncpg://`), whatever spelling was given."""
    database_direct_url: DatabaseUrl | None = Field(default=None, repr=False)
    """Past any pooler, for migrations, LISTEN, advisory locks; `direct_url` falls back to `database_url`."""

    temporal_address: str = "127.0.0.1:7233"
    temporal_namespace: str = "default"
    temporal_api_key: str | None = Field(default=None, repr=False)
    temporal_tls: bool = False
    temporal_tls_ca_file: str | None = None
    temporal_tls_cert_file: str | None = None
    temporal_tls_key_file: str | None = None
    temporal_tls_server_name: str | None = None
    temporal_ui_url: Annotated[str | None, Field(pattern=r"^https?://[^/]+$")] = None
    """The origin of Temporal's UI, whose pages may ask the codec server with a signed-in operator's cookie."""

    master_keys: Annotated[tuple[MasterKey, ...], NoDecode, BeforeValidator(parse_master_keys)] = Field(
        repr=False
    )
    """First is current; the others still decrypt."""
    token_secret: SecretBytes = Field(repr=False)
    password_pepper: SecretBytes = Field(repr=False)

    s3_bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] | None = None
    """Contents too large for a row go there; without it what needs that is refused."""
    s3_endpoint: Annotated[str, Field(pattern=r"^https?://[^/]+$")] | None = None
    """Any server that speaks S3; None is AWS itself."""
    s3_region: Annotated[str, Field(min_length=1)] = "us-east-1"
    s3_access_key: str | None = Field(default=None, repr=False)
    s3_secret_key: str | None = Field(default=None, repr=False)
    """Without keys: the machine's own identity (an instance role, a mounted profile)."""

    smtp_url: str | None = Field(default=None, pattern=r"^smtps?://", repr=False)
    mail_from: str = "Perdure <no-reply@perdure.localhost>"

    public_url: Annotated[str, Field(pattern=r"^https?://[^/]+$")] = "http://127.0.0.1:8400"
    sign_up: Literal["verified", "open", "closed"] = "verified"
    """Who may register: whoever proves an e-mail address, anybody, or only who was invited."""
    sms: Literal["none", "log"] = "none"
    """How codes reach telephones; `log` writes them into the log, for development only."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8400
    trusted_proxies: Annotated[str, AfterValidator(networks)] = ""
    """A comma list of addresses or networks whose `X-Forwarded-For` counts; empty: nobody's."""
    log_level: Annotated[str, Field(pattern=r"^(debug|info|warning|error)$")] = "info"
    log_format: Annotated[str, Field(pattern=r"^(auto|json|console)$")] = "auto"
    metrics_token: Annotated[str | None, Field(min_length=16, repr=False)] = None
    """Bearer of a scraper on the API's port; without it `/metrics` is not there."""
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int | None, Field(ge=0, le=65535)] = None
    """A port for operators alone: `/metrics`, `/healthz`, `/readyz` of any role, without a token."""

    step_budget: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    """How many steps one execution may enter; loops and backward jumps must end somewhere."""

    http_allow: Annotated[tuple[Target, ...], NoDecode, BeforeValidator(parse_targets)] = ()
    """Addresses that are not public but may be called by the demo organization, and by nobody else."""
    demo_organization_id: uuid.UUID | None = None

    @property
    def direct_url(self) -> str:
        return self.database_direct_url or self.database_url

    @model_validator(mode="after")
    def _what_belongs_together(self) -> Self:
        if (self.temporal_tls_cert_file is None) != (self.temporal_tls_key_file is None):
            raise ValueError(
                "PERDURE_TEMPORAL_TLS_CERT_FILE and …_KEY_FILE belong together: set both or neither"
            )
        if (self.s3_access_key is None) != (self.s3_secret_key is None):
            raise ValueError("PERDURE_S3_ACCESS_KEY and …_SECRET_KEY belong together: set both or neither")
        if self.s3_bucket is None and (self.s3_endpoint or self.s3_access_key):
            raise ValueError(
                "PERDURE_S3_BUCKET is not set: name the bucket, or leave out the other PERDURE_S3_…"
            )
        if self.http_allow and self.demo_organization_id is None:
            raise ValueError(
                "PERDURE_HTTP_ALLOW needs PERDURE_DEMO_ORGANIZATION_ID, the organization it is for"
            )
        return self

    @property
    def uses_tls(self) -> bool:
        """Temporal is spoken to over TLS: asked for, or implied by an API key or certificate."""
        given = (self.temporal_api_key, self.temporal_tls_ca_file, self.temporal_tls_cert_file)
        return self.temporal_tls or any(given)

    @classmethod
    def load(cls, **given: Any) -> Self:
        """Read the environment; raises SettingsError."""
        try:
            return cls(**given)
        except ValidationError as problems:
            lines = [
                _explain(problem["loc"], problem["type"], problem["msg"]) for problem in problems.errors()
            ]
            raise SettingsError("\n".join(["The environment is not complete:", *lines])) from None


def _explain(location: tuple[int | str, ...], kind: str, message: str) -> str:
    text = message.removeprefix("Value error, ")
    if not location:
        return f"- {text}"
    name = PREFIX + str(location[0]).upper()
    if kind == "missing":
        return f"- {name} is not set: {MENDS.get(name, 'see .env.example')}"
    return f"- {name}: {text}; {MENDS.get(name, 'see .env.example')}"


_MAKE_ONE = "make one with `openssl rand -base64 32`"
MENDS = {
    "PERDURE_DATABASE_URL": "postgresql://user:password@host:5432/database[?sslmode=require]",
    "PERDURE_DATABASE_DIRECT_URL": "postgresql://user:password@host:5432/database[?sslmode=require]",
    "PERDURE_MASTER_KEYS": f"name:base64[,older:base64] with 32 bytes each; {_MAKE_ONE}",
    "PERDURE_TOKEN_SECRET": f"at least 32 random bytes in base64; {_MAKE_ONE}",
    "PERDURE_PASSWORD_PEPPER": f"at least 32 random bytes in base64; {_MAKE_ONE} and never change it",
    "PERDURE_SMTP_URL": "smtp://host:port or smtps://user:password@host:465",
    "PERDURE_S3_BUCKET": "the bucket's name, 3 to 63 small letters, digits, dots and dashes",
    "PERDURE_S3_ENDPOINT": "https://host[:port] without a path; leave it out for AWS",
    "PERDURE_TEMPORAL_UI_URL": "the origin of Temporal's UI, such as http://127.0.0.1:8233, without a path",
    "PERDURE_PUBLIC_URL": "the address people open, such as https://perdure.example.org, without a path",
    "PERDURE_SMS": "none, or log (codes stand in the log: for development only)",
    "PERDURE_SIGN_UP": "verified (by e-mail), open (anybody, without proof) or closed (only by invitation)",
    "PERDURE_HTTP_ALLOW": "a comma list of network:port or host:port, such as 127.0.0.1/32:8490",
    "PERDURE_TRUSTED_PROXIES": "a comma list of addresses or networks, such as 10.0.0.5,172.18.0.0/16",
    "PERDURE_LOG_LEVEL": "one of debug, info, warning, error",
    "PERDURE_LOG_FORMAT": "auto (words on a terminal, else JSON), json or console",
    "PERDURE_METRICS_TOKEN": "at least 16 characters; make one with `openssl rand -hex 32`",
    "PERDURE_METRICS_PORT": "a free port, reachable only for what scrapes it",
}

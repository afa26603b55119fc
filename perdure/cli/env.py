"""`env`: the secrets a new installation needs."""

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from perdure.cli.output import explained, out
from workers.devstack.errors import StackError
from workers.secret_values import fresh_key, fresh_master_key, fresh_password

TEMPLATE = """\
# Secrets of one installation, made by `perdure env`; docker-compose.yml reads this file. Keep a copy apart from
# the backups of the database: without PERDURE_MASTER_KEYS nothing sealed can be read again, by anybody.
PERDURE_MASTER_KEYS={master_key}
PERDURE_TOKEN_SECRET={token_secret}
PERDURE_PASSWORD_PEPPER={pepper}

# Logins of PostgreSQL: its superuser, who migrates, who runs the product, Temporal's own
POSTGRES_PASSWORD={postgres}
PERDURE_OWNER_PASSWORD={owner}
PERDURE_APP_PASSWORD={app}
TEMPORAL_PASSWORD={temporal}

PERDURE_S3_ACCESS_KEY={access_key}
PERDURE_S3_SECRET_KEY={secret_key}

# What else may be set: the address people open, a real mail server, ports on this machine's loopback
#PERDURE_PUBLIC_URL=https://perdure.example.org
# The proxy with TLS before the API, as the API sees it; and where Temporal's UI is published, on the same site
#PERDURE_TRUSTED_PROXIES=172.18.0.1
#PERDURE_TEMPORAL_UI_URL=https://temporal.perdure.example.org
# Who may register: verified (by e-mail), open (anybody, without proof) or closed (only by invitation).
#PERDURE_SIGN_UP=verified
# How codes reach telephones: none (nobody gets one) or log (into the log of the worker, for trying out).
#PERDURE_SMS=none
#PERDURE_SMTP_URL=smtps://user:password@mail.example.org:465
#PERDURE_MAIL_FROM=Perdure <no-reply@example.org>
#PERDURE_LOG_LEVEL=info
#PUBLISHED_API_PORT=8400
#PUBLISHED_TEMPORAL_UI_PORT=8233
#PUBLISHED_MAIL_PORT=8025
"""


def env(
    output: Annotated[
        Path | None, typer.Option(help="Write there, readable by you only; never over a file.")
    ] = None,
) -> None:
    """Print fresh secrets for docker-compose.yml as an environment file."""
    text = fresh()
    if output is None:
        print(text, end="")
        return
    with explained(as_json=False):
        try:
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise StackError(
                f"{output} exists, and with other keys the data of its installation cannot be read.",
                "Choose another --output, or move the file away first.",
            ) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    out.print(f"Written: {output}. `docker compose up -d --wait` reads it.", markup=False)


def fresh() -> str:
    """Return the file's text; no two are alike."""
    return TEMPLATE.format(
        master_key=fresh_master_key(),
        token_secret=fresh_key(),
        pepper=fresh_key(),
        postgres=fresh_password(),
        owner=fresh_password(),
        app=fresh_password(),
        temporal=fresh_password(),
        access_key=f"perdure{secrets.token_hex(6)}",
        secret_key=fresh_password(),
    )

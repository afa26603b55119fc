"""What the outside needs to know of a stack: addresses, files and the environment of its processes."""

from collections.abc import Mapping
from pathlib import Path

from workers.devstack.databases import LOGINS, SUPERUSER
from workers.devstack.ports import LOOPBACK
from workers.devstack.programs import S3


def urls(ports: Mapping[str, int]) -> dict[str, str]:
    """Return the addresses to show people; none holds a password."""
    api = f"http://{LOOPBACK}:{ports['api']}"
    return {
        "console": f"{api}/",
        "login": f"{api}/login",
        "api": api,
        "api_docs": f"{api}/docs",
        "temporal_ui": f"http://{LOOPBACK}:{ports['temporal_ui']}",
        "temporal": f"{LOOPBACK}:{ports['temporal']}",
        "postgres": f"{LOOPBACK}:{ports['postgres']}",
        "s3": f"http://{LOOPBACK}:{ports['s3']}",
        "smtp": f"smtp://{LOOPBACK}:{ports['mail']}",
        "echo": f"http://{LOOPBACK}:{ports['echo']}",
    }


def codec(ports: Mapping[str, int]) -> str:
    """Return the address that Temporal's UI asks for readable values."""
    return f"http://{LOOPBACK}:{ports['api']}/codec"


def files(data_dir: Path) -> dict[str, str]:
    """Return where things lie, secrets included (their places, never their content)."""
    passwords = {
        f"password_{login}": str(data_dir / "postgres" / "passwords" / login)
        for login in (SUPERUSER, *LOGINS)
    }
    return {
        **passwords,
        "secrets": str(data_dir / "secrets.env"),
        "logs": str(data_dir / "logs"),
        "mail": str(data_dir / "mail"),
        "s3": str(data_dir / "s3"),
        "echo_ledger": str(data_dir / "echo" / "ledger.jsonl"),
        "temporal": str(data_dir / "temporal" / "temporal.db"),
    }


def environment(ports: Mapping[str, int], database_url: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a node of this stack, complete: nothing is left to the caller's environment."""
    echo = ports["echo"]
    return {
        **secrets,
        "PERDURE_DATABASE_URL": database_url,
        # the runtime login here too: a node never holds the power to change the schema
        "PERDURE_DATABASE_DIRECT_URL": database_url,
        "PERDURE_TEMPORAL_ADDRESS": f"{LOOPBACK}:{ports['temporal']}",
        "PERDURE_TEMPORAL_NAMESPACE": "default",
        "PERDURE_TEMPORAL_UI_URL": f"http://{LOOPBACK}:{ports['temporal_ui']}",
        "PERDURE_S3_ENDPOINT": f"http://{LOOPBACK}:{ports['s3']}",
        "PERDURE_S3_BUCKET": S3.bucket,
        "PERDURE_SMTP_URL": f"smtp://{LOOPBACK}:{ports['mail']}",
        "PERDURE_HOST": LOOPBACK,
        "PERDURE_PORT": str(ports["api"]),
        "PERDURE_PUBLIC_URL": f"http://{LOOPBACK}:{ports['api']}",
        "PERDURE_HTTP_ALLOW": f"{LOOPBACK}/32:{echo},localhost:{echo}",
    }

"""Histories as files: plain JSON, nothing of the machine that recorded them, and a list of their digests."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter

from workers.temporal.converter import FailureConverter, PayloadConverter

FOLDER = Path(__file__).parent / "histories"
MANIFEST = FOLDER / "MANIFEST.json"

#: The product's converter without its codec: what is recorded can be read, and needs no key to be replayed.
PLAIN = DataConverter(payload_converter_class=PayloadConverter, failure_converter_class=FailureConverter)


def recorded() -> list[Path]:
    return sorted(FOLDER.glob("engine-*/*.json"))


def name_of(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest() -> dict[str, str]:
    digests: dict[str, str] = json.loads(MANIFEST.read_text())
    return digests


def write_manifest() -> None:
    digests = {name_of(path): digest(path) for path in recorded()}
    MANIFEST.write_text(json.dumps(digests, indent=1) + "\n")


def write(path: Path, history: WorkflowHistory) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {"workflow_id": history.workflow_id, "history": _scrubbed(json.loads(history.to_json()))}
    path.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def read(path: Path) -> WorkflowHistory:
    kept = json.loads(path.read_text())
    return WorkflowHistory.from_json(kept["workflow_id"], kept["history"])


def _scrubbed(value: Any) -> Any:
    """Without names of machines, and without stack traces, which name folders."""
    if isinstance(value, list):
        return [_scrubbed(each) for each in value]
    if not isinstance(value, dict):
        return value
    scrubbed = {name: _scrubbed(each) for name, each in value.items()}
    if "identity" in scrubbed:
        scrubbed["identity"] = "recorder"
    for name in ("stackTrace", "workerVersion", "versionInfo"):
        scrubbed.pop(name, None)
    if "encodedAttributes" in scrubbed:
        attributes = json.loads(base64.b64decode(scrubbed["encodedAttributes"]["data"]))
        told = json.dumps({**attributes, "stack_trace": ""}).encode()
        scrubbed["encodedAttributes"]["data"] = base64.b64encode(told).decode()
    return scrubbed

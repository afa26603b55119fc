"""Every request the partner stand-in received, in a file that survives a crash of anything."""

import asyncio
import hashlib
import json
import os
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with."""

    status: int
    body: dict[str, Any]


class Ledger:
    """An append-only JSON Lines file. Each line is on disk before its request is answered."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self._answered: dict[str, tuple[str, Answer]] = {}
        self._lock = asyncio.Lock()
        self._drop_torn_line()
        for entry in self.entries():
            self._remember(entry)

    def entries(self) -> list[dict[str, Any]]:
        """Return everything received, oldest first."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    async def receive(self, method: str, path: str, key: str | None, body: bytes) -> Answer:
        """Log the request and decide its answer as a careful partner does.

        Same key and body: the first answer again. Same key, other body: 409. All are logged.
        """
        async with self._lock:
            digest = hashlib.sha256(body).hexdigest()
            before = self._answered.get(key) if key else None
            now = datetime.now(UTC).isoformat()
            if before is None:
                answer = Answer(201, {"id": str(uuid.uuid4()), "received": now})
            elif before[0] == digest:
                answer = before[1]
            else:
                answer = Answer(409, {"error": f"Idempotency-Key {key} was used with another body."})
            entry = {
                "time": now,
                "method": method,
                "path": path,
                "idempotency_key": key,
                "body_sha256": digest,
                "body": _readable(body),
                "repeated": before is not None,
                "status": answer.status,
                "answer": answer.body,
            }
            await asyncio.to_thread(self._append, entry)
            self._remember(entry)
            return answer

    def _remember(self, entry: dict[str, Any]) -> None:
        key = entry["idempotency_key"]
        if key and key not in self._answered:
            self._answered[key] = (entry["body_sha256"], Answer(entry["status"], entry["answer"]))

    def _append(self, entry: dict[str, Any]) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, (json.dumps(entry, ensure_ascii=False) + "\n").encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _drop_torn_line(self) -> None:
        """A kill in the middle of a write leaves half a line, which nobody was answered for."""
        content = self.path.read_bytes() if self.path.exists() else b""
        if content and not content.endswith(b"\n"):
            with self.path.open("r+b") as file:
                file.truncate(content.rfind(b"\n") + 1)


def _readable(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", errors="replace")

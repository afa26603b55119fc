"""A mail server that keeps everything: SMTP in, one file per message in a maildir.

`python -m workers.devstack.mail --folder DIR --port N`
"""

import argparse
import asyncio
import os
import signal
from mailbox import Maildir
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from workers.devstack.ports import LOOPBACK

SIZE_LIMIT = 32 * 1024 * 1024


class Keep:
    """Accept every message and answer 250 only when it is on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.maildir = Maildir(folder, create=True)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        key = await asyncio.to_thread(self._store, envelope)
        return f"250 Kept as {key}"

    def _store(self, envelope: Envelope) -> str:
        recipients = ", ".join(envelope.rcpt_tos)
        added = f"X-Envelope-From: {envelope.mail_from or ''}\r\nX-Envelope-To: {recipients}\r\n".encode()
        # as bytes, so that the message itself is kept as sent; written in tmp/, synced, then moved to new/
        key = self.maildir.add(added + (envelope.original_content or b""))
        folder = os.open(self.folder / "new", os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return key


async def serve(folder: Path, port: int) -> None:
    """Serve until SIGTERM."""
    handler = Keep(folder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="perdure-mail", data_size_limit=SIZE_LIMIT, enable_SMTPUTF8=True),
        LOOPBACK,
        port,
    )
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    options.folder.parent.mkdir(parents=True, exist_ok=True)
    asyncio.run(serve(options.folder, options.port))


if __name__ == "__main__":
    main()

"""An S3 server on loopback: buckets are folders, objects are files.

`python -m workers.devstack.s3 --folder DIR --bucket NAME --port N`

The environment holds PERDURE_S3_ACCESS_KEY and PERDURE_S3_SECRET_KEY.

localbucket itself lets everybody in, web pages of other origins too; here a request must be signed with the
stack's key, and an object is on disk before it is acknowledged.
"""

import argparse
import hashlib
import hmac
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from localbucket import TEMP_PREFIX, S3Error, S3Handler

from workers.devstack.ports import LOOPBACK

SCHEME = "AWS4-HMAC-SHA256"
CLOCK_TOLERANCE = timedelta(minutes=15)


class Guarded(S3Handler):
    """localbucket's requests, signed ones only (AWS Signature Version 4 in the Authorization header)."""

    access_key: str
    secret_key: str

    def _dispatch(self, action: Callable[[str, str], None]) -> None:
        del self.headers["Origin"]  # otherwise the answer would open itself to pages of that origin
        try:
            self._check_signature()
        except S3Error as refusal:
            self._read_body()  # an answer before the end of the request would be lost in a reset
            self._send_error(refusal)
            return
        super()._dispatch(action)

    def do_OPTIONS(self) -> None:  # noqa: N802  # a name http.server looks up
        """No page of another origin has business here."""
        del self.headers["Origin"]
        self._send_error(S3Error(HTTPStatus.FORBIDDEN, "AccessDenied", "Cross-origin requests are refused."))

    def _check_signature(self) -> None:
        scheme, _, rest = self.headers.get("Authorization", "").partition(" ")
        fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        who, _, scope = fields.get("Credential", "").partition("/")
        if scheme != SCHEME or len(scope.split("/")) != 4:
            raise S3Error(HTTPStatus.FORBIDDEN, "AccessDenied", "Sign the request (Signature Version 4).")
        if not hmac.compare_digest(who.encode(), self.access_key.encode()):
            raise S3Error(HTTPStatus.FORBIDDEN, "InvalidAccessKeyId", "This access key does not exist.")
        self._check_clock()
        wanted = self._signature(scope, fields.get("SignedHeaders", "").split(";"))
        if not hmac.compare_digest(wanted, fields.get("Signature", "").encode()):
            raise S3Error(
                HTTPStatus.FORBIDDEN, "SignatureDoesNotMatch", "The signature belongs to another secret key."
            )

    def _check_clock(self) -> None:
        try:
            text = self.headers.get("X-Amz-Date", "")
            signed = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            raise S3Error(HTTPStatus.FORBIDDEN, "AccessDenied", "X-Amz-Date is missing or no date.") from None
        if abs(datetime.now(UTC) - signed) > CLOCK_TOLERANCE:
            raise S3Error(HTTPStatus.FORBIDDEN, "RequestTimeTooSkewed", "The clocks are too far apart.")

    def _signature(self, scope: str, signed_headers: list[str]) -> bytes:
        """The body's digest is signed as the client states it; what we store is sealed, and so checked when read."""
        url = urlsplit(self.path)
        query = sorted(part if "=" in part else f"{part}=" for part in url.query.split("&") if part)
        request = "\n".join(
            (
                *(self.command, url.path, "&".join(query)),
                *(f"{name}:{' '.join(self.headers.get(name, '').split())}" for name in signed_headers),
                *("", ";".join(signed_headers), self.headers.get("X-Amz-Content-SHA256", "")),
            )
        )
        digest = hashlib.sha256(request.encode()).hexdigest()
        key = f"AWS4{self.secret_key}".encode()
        for word in scope.split("/"):
            key = hmac.digest(key, word.encode(), "sha256")
        text = "\n".join((SCHEME, self.headers["X-Amz-Date"], scope, digest))
        return hmac.digest(key, text.encode(), "sha256").hex().encode()

    def _write_object(self, bucket: str, key: str, write: Callable[[BinaryIO], str]) -> str:
        def durably(file: BinaryIO) -> str:
            etag = write(file)
            file.flush()
            os.fsync(file.fileno())
            return etag

        made: str = super()._write_object(bucket, key, durably)
        return made


def serve(folder: Path, bucket: str, port: int, access_key: str, secret_key: str) -> None:
    """Serve until SIGTERM; the bucket is made when it is missing."""
    (folder / bucket).mkdir(mode=0o700, parents=True, exist_ok=True)
    for unfinished in folder.rglob(f"{TEMP_PREFIX}*"):  # left by a kill in the middle of an upload
        if unfinished.is_file():
            unfinished.unlink()
    Guarded.data_root = folder.resolve()
    Guarded.access_key, Guarded.secret_key = access_key, secret_key
    server = _Server((LOOPBACK, port), Guarded)
    signal.signal(signal.SIGTERM, _end)
    server.serve_forever()


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a client that keeps its connection must not hold the end
    block_on_close = False


def _end(*_: Any) -> None:
    os._exit(0)  # every object is either whole or absent, whenever this happens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    access_key, secret_key = (os.environ[f"PERDURE_S3_{name}_KEY"] for name in ("ACCESS", "SECRET"))
    serve(options.folder, options.bucket, options.port, access_key, secret_key)


if __name__ == "__main__":
    main()

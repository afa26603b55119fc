"""Blob storage over S3: any server that speaks it, addressed by path."""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any, TypeVar

from domain.blobs import Blob, BlobMissing, BlobsUnavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

#: Calls under way at once; each holds a thread.
THREADS = 8
CONNECT_SECONDS = 2.0
READ_SECONDS = 5.0
ATTEMPTS = 3
#: Whoever waits is let go then, whatever the server does: a caller of the API has a deadline too.
DEADLINE_SECONDS = 15.0

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_MISSING = frozenset({"NoSuchKey", "404"})


@dataclass(frozen=True, slots=True)
class Bucket:
    """Which bucket, where, and as whom; without an endpoint AWS itself, without keys the machine's own identity."""

    name: str
    endpoint: str | None = None
    region: str = "us-east-1"
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)


class S3Blobs:
    """A BlobStore in one bucket. boto3 blocks, so it works on threads of its own; it loads with the first call."""

    def __init__(self, bucket: Bucket, *, deadline: float = DEADLINE_SECONDS) -> None:
        self._bucket = bucket
        self._deadline = deadline
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="s3")
        self._loading = Lock()
        self._client: Any = None

    async def put(self, key: str, content: bytes) -> None:
        await self._call(partial(self._ask, "put_object", Key=_checked(key), Body=content))

    async def get(self, key: str) -> bytes:
        return await self._call(partial(self._read, _checked(key)))

    async def delete(self, key: str) -> None:
        await self._call(partial(self._ask, "delete_object", Key=_checked(key)))

    async def under(self, prefix: str, *, after: str = "") -> Sequence[Blob]:
        found = await self._call(
            partial(self._ask, "list_objects_v2", Prefix=_checked_prefix(prefix), StartAfter=after)
        )
        return [Blob(each["Key"], each["Size"]) for each in found.get("Contents", ())]

    async def check(self) -> None:
        """Raises BlobsUnavailable unless the bucket is there and lets us in."""
        await self._call(partial(self._ask, "head_bucket"))

    def close(self) -> None:
        """Calls under way end on their own; none begins."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _call(self, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(self._deadline):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError:
            log.warning("S3 did not answer within %g s", self._deadline)
            raise BlobsUnavailable from None

    def _read(self, key: str) -> bytes:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  # see _connect

        answer = self._ask("get_object", Key=key)
        try:
            content: bytes = answer["Body"].read()
        except BotoCoreError as error:  # the connection broke in the middle; another attempt starts anew
            log.warning("S3 get_object broke off: %s", error)
            raise BlobsUnavailable from None
        return content

    def _ask(self, operation: str, **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # see _connect

        try:
            return getattr(self._connect(), operation)(Bucket=self._bucket.name, **arguments)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if "Key" in arguments and code in _MISSING:
                raise BlobMissing(arguments["Key"]) from None
            # A wrong bucket or wrong credentials are for the operator to mend, and then the same call works.
            log.error("S3 refused %s on bucket %s: %s", operation, self._bucket.name, error)
            raise BlobsUnavailable from None
        except BotoCoreError as error:
            log.warning("S3 %s failed: %s", operation, error)
            raise BlobsUnavailable from None

    def _connect(self) -> Any:
        with self._loading:  # making a client is not safe on two threads, using it is
            if self._client is None:
                # late: half a second and 40 MB, which a node that stores nothing large does without
                import boto3  # noqa: PLC0415
                from botocore.config import Config  # noqa: PLC0415

                bucket = self._bucket
                self._client = boto3.client(
                    "s3",
                    endpoint_url=bucket.endpoint,
                    region_name=bucket.region,
                    aws_access_key_id=bucket.access_key,
                    aws_secret_access_key=bucket.secret_key,
                    config=Config(
                        connect_timeout=CONNECT_SECONDS,
                        read_timeout=READ_SECONDS,
                        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                        max_pool_connections=THREADS,
                        # names of buckets need no name server of their own, and servers other than AWS know it
                        s3={"addressing_style": "path"},
                        # servers other than AWS do not all know trailing checksums; what we store is sealed
                        request_checksum_calculation="when_required",
                        response_checksum_validation="when_required",
                        proxies={},  # a proxy of the machine's environment would not reach a private store
                    ),
                )
            return self._client


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key of ours: parts of letters, digits, `.`, `_`, `-`, joined by `/`")
    return key


def _checked_prefix(prefix: str) -> str:
    """Whole parts only: an organization's id must not be the beginning of another key."""
    if not prefix.endswith("/"):
        raise ValueError(f"{prefix!r} does not end with `/`, so it could begin somebody else's key")
    _checked(prefix.removesuffix("/"))
    return prefix

"""Blob storage against a real S3 server: what is kept, what is refused, and how its absence is told."""

import asyncio
import base64
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from activities.faults import is_passing
from activities.gateways.s3 import Bucket, S3Blobs
from domain.blobs import BlobMissing, BlobStore, BlobsUnavailable, NoBlobs
from workers.devstack import ports
from workers.devstack.processes import Child
from workers.devstack.programs import S3

KEY = "0199aaaa-0000-7000-8000-000000000001/deliveries/0199aaaa-0000-7000-8000-000000000002"
SECRETS = {"PERDURE_S3_ACCESS_KEY": "perdure0001", "PERDURE_S3_SECRET_KEY": "s3/cr+t=" + "x" * 24}


class Server:
    """The stack's own part, run by hand so that a test can kill it."""

    def __init__(self, folder: Path) -> None:
        self.part = S3(folder, ports.any_free(), SECRETS)
        self.log = folder / "s3.log"
        self.endpoint = f"http://127.0.0.1:{self.part.port}"

    def start(self) -> "Server":
        self.child = Child(asyncio.run(self.part.prepare()), self.log)
        ends = time.monotonic() + 20
        while not ports.answers(self.part.port):
            assert self.child.returncode is None, self.child.last_words()
            assert time.monotonic() < ends
            time.sleep(0.02)
        return self

    def kill(self) -> None:
        os.kill(self.child.pid, signal.SIGKILL)
        asyncio.run(self.child.exited())

    @property
    def bucket(self) -> Bucket:
        return Bucket(
            self.part.bucket,
            endpoint=self.endpoint,
            access_key=SECRETS["PERDURE_S3_ACCESS_KEY"],
            secret_key=SECRETS["PERDURE_S3_SECRET_KEY"],
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("s3")).start()
    yield server
    asyncio.run(server.child.stop())


@asynccontextmanager
async def storage(bucket: Bucket, deadline: float = 15) -> AsyncIterator[S3Blobs]:
    blobs = S3Blobs(bucket, deadline=deadline)
    yield blobs
    blobs.close()


@pytest.fixture
async def blobs(server: Server) -> AsyncIterator[BlobStore]:
    async with storage(server.bucket) as made:
        yield made


@pytest.mark.parametrize("size", [0, 1, 70_000, 9 * 1024 * 1024])
async def test_what_was_put_is_what_is_got(blobs: BlobStore, size: int) -> None:
    content = secrets.token_bytes(size)
    await blobs.put(KEY, content)
    assert await blobs.get(KEY) == content


async def test_the_last_put_stands(blobs: BlobStore) -> None:
    await blobs.put(KEY, b"first")
    await blobs.put(KEY, b"second")
    assert await blobs.get(KEY) == b"second"


async def test_a_missing_key_is_told_and_its_deletion_is_no_error(blobs: BlobStore) -> None:
    with pytest.raises(BlobMissing):
        await blobs.get("o/nothing/1")
    await blobs.delete("o/nothing/1")


async def test_deleted_is_gone_and_its_neighbour_stays(blobs: BlobStore) -> None:
    await blobs.put("o/pair/1", b"1")
    await blobs.put("o/pair/2", b"2")
    await blobs.delete("o/pair/1")
    with pytest.raises(BlobMissing):
        await blobs.get("o/pair/1")
    assert await blobs.get("o/pair/2") == b"2"


async def test_many_at_once_do_not_mix(blobs: BlobStore) -> None:
    contents = {f"o/many/{n}": secrets.token_bytes(2000 + n) for n in range(40)}
    await asyncio.gather(*(blobs.put(key, content) for key, content in contents.items()))
    got = await asyncio.gather(*(blobs.get(key) for key in contents))
    assert got == list(contents.values())


@pytest.mark.parametrize("key", ["", "/etc", "o/../other/1", "o//1", "o/.hidden", "o/1?acl", "o/ü", "o/1/"])
async def test_a_key_that_could_leave_its_place_is_a_defect(blobs: BlobStore, key: str) -> None:
    for call in (blobs.get(key), blobs.delete(key), blobs.put(key, b"")):
        with pytest.raises(ValueError, match="is no key of ours"):
            await call


@pytest.mark.parametrize(
    ("wrong", "logged"),
    [
        ({"secret_key": "another"}, "SignatureDoesNotMatch"),
        ({"access_key": "stranger"}, "InvalidAccessKeyId"),
        ({"name": "elsewhere"}, "NoSuchBucket"),
    ],
)
async def test_a_wrong_setting_is_a_passing_error_that_operators_can_read(
    server: Server, wrong: dict[str, str], logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with storage(replace(server.bucket, **wrong)) as blobs:
        for call in (blobs.put(KEY, b"x"), blobs.get(KEY)):
            with pytest.raises(BlobsUnavailable):
                await call
        with pytest.raises(BlobsUnavailable):
            await blobs.check()
    assert logged in caplog.text
    assert SECRETS["PERDURE_S3_SECRET_KEY"] not in caplog.text


async def test_the_bucket_answers_whom_it_knows(server: Server) -> None:
    async with storage(server.bucket) as blobs:
        await blobs.check()


async def test_a_server_that_is_away_is_a_passing_error_in_bounded_time() -> None:
    async with storage(Bucket("perdure", f"http://127.0.0.1:{ports.any_free()}", "r", "a", "b")) as blobs:
        began = time.monotonic()
        with pytest.raises(BlobsUnavailable) as problem:
            await blobs.put(KEY, b"x")
        assert time.monotonic() - began < 10
    assert is_passing(problem.value)


async def test_a_silent_server_lets_its_caller_go() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with storage(Bucket("perdure", endpoint, "r", "a", "b"), deadline=1.0) as blobs:
            await asyncio.to_thread(blobs._connect)  # loading boto3 is not what is timed
            began = time.monotonic()
            with pytest.raises(BlobsUnavailable):
                await blobs.get(KEY)
            assert time.monotonic() - began < 2


def test_what_was_acknowledged_survives_a_kill_and_half_an_upload_does_not(tmp_path: Path) -> None:
    server = Server(tmp_path).start()
    content = base64.b64encode(secrets.token_bytes(50_000))

    async def put() -> None:
        async with storage(server.bucket) as blobs:
            await blobs.put("o/kept/1", content)

    async def get() -> bytes:
        async with storage(server.bucket) as blobs:
            return await blobs.get("o/kept/1")

    asyncio.run(put())
    server.kill()
    half = tmp_path / "s3" / server.part.bucket / "o" / "kept" / ".localbucket-half"
    half.write_bytes(b"half")
    server.start()
    assert asyncio.run(get()) == content
    assert not half.exists()
    asyncio.run(server.child.stop())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://elsewhere.example"},
        {"Authorization": "AWS4-HMAC-SHA256 Credential=perdure0001/x/y/s3/aws4_request"},
        {"Authorization": "Basic cGVyZHVyZTpwZXJkdXJl"},
    ],
)
async def test_the_stacks_server_lets_nobody_in_without_a_signature(
    server: Server, headers: dict[str, str]
) -> None:
    async with httpx2.AsyncClient(trust_env=False, headers=headers) as http:
        for method in ("GET", "PUT", "DELETE", "OPTIONS"):
            answer = await http.request(method, f"{server.endpoint}/perdure/{KEY}")
            assert answer.status_code == 403
            assert "Access-Control-Allow-Origin" not in answer.headers


async def test_an_old_signature_is_refused(server: Server) -> None:
    signed = {
        "X-Amz-Date": "20200101T000000Z",
        "Authorization": "AWS4-HMAC-SHA256 Credential=perdure0001/20200101/us-east-1/s3/aws4_request,"
        " SignedHeaders=host;x-amz-date, Signature=00",
    }
    async with httpx2.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{server.endpoint}/perdure/{KEY}", headers=signed)
    assert answer.status_code == 403
    assert "RequestTimeTooSkewed" in answer.text


async def test_a_platform_without_storage_says_what_to_set() -> None:
    store: BlobStore = NoBlobs()
    for call in (store.put(KEY, b""), store.get(KEY), store.delete(KEY)):
        with pytest.raises(BlobsUnavailable, match="PERDURE_S3_BUCKET"):
            await call


def test_boto_is_loaded_by_the_first_call_only() -> None:
    program = "import sys, workers.wiring; sys.exit('botocore' in sys.modules or 'boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

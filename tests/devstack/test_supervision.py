"""Whatever dies comes back; whoever is killed leaves nothing running and nothing broken."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import asyncpg
import httpx2
import psutil
import pytest

from tests.devstack.conftest import Supervisor
from workers.devstack.errors import AlreadyRunning, StackError
from workers.devstack.identity import identify
from workers.devstack.ledger import Ledger
from workers.devstack.postgres import Postgres
from workers.devstack.stack import Stack
from workers.devstack.state import Lock

Start = Callable[..., Supervisor]


async def comes_back(stack: Stack, name: str) -> None:
    """Kill a part as the kernel would and wait for its successor."""
    watched = stack.supervisor.watched[name]
    killed = watched.child.pid
    os.kill(killed, signal.SIGKILL)
    async with asyncio.timeout(30):
        while watched.status != "running" or watched.child.pid == killed:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_killed_postmaster_returns_with_its_committed_rows(data_dir: Path) -> None:
    async with Stack(data_dir, parts=["postgres"], migrate=False) as stack:
        connection = await asyncpg.connect(stack.owner_url)
        await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
        backend = await connection.fetchval("SELECT pg_backend_pid()")
        await comes_back(stack, "postgres")
        assert identify(backend) is None, "a backend of the dead postmaster holds its shared memory"
        again = await asyncpg.connect(stack.owner_url)
        assert await again.fetchval("SELECT n FROM kept") == 7
        await again.close()
        assert json.loads((data_dir / "stack.json").read_text())["parts"]["postgres"]["restarts"] == 1


async def test_a_killed_temporal_returns_with_its_namespace_as_configured(data_dir: Path) -> None:
    async with Stack(data_dir, parts=["temporal"]) as stack:
        await comes_back(stack, "temporal")
        temporal = stack.parts["temporal"]
        described = await temporal._ask("operator", "namespace", "describe", "-n", "default")  # type: ignore[attr-defined]
        assert described["config"]["workflowExecutionRetentionTtl"] == f"{30 * 86400}s"
        assert set(described["config"]["customSearchAttributeAliases"].values()) == {
            *("OrganizationId", "WorkflowDefinition", "ExecutionKind", "TriggerType")
        }


@pytest.mark.parametrize("name", ["mail", "s3", "echo"])
async def test_a_killed_small_part_returns(data_dir: Path, name: str) -> None:
    async with Stack(data_dir, parts=["mail", "s3", "echo"]) as stack:
        await comes_back(stack, name)


async def test_a_killed_node_returns_and_serves(data_dir: Path) -> None:
    async with Stack(data_dir) as stack:
        await comes_back(stack, "node")
        async with httpx2.AsyncClient(trust_env=False) as client:
            assert (await client.get(stack.urls["api"] + "/healthz")).status_code == 200


async def test_a_part_that_is_not_ready_stops_the_start_and_says_why(
    data_dir: Path,
) -> None:
    blocked = data_dir / "echo"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(StackError, match="echo ended with status") as problem:
        async with Stack(data_dir, parts=["mail", "echo"]):
            pass
    assert "logs/echo.log" in str(problem.value)
    assert Lock(data_dir).holder() is None


async def test_a_second_start_on_the_same_data_is_refused_by_name(data_dir: Path) -> None:
    async with Stack(data_dir, parts=["mail"]):
        with pytest.raises(AlreadyRunning, match=f"supervisor pid {os.getpid()}"):
            async with Stack(data_dir, parts=["mail"]):
                pass
    async with Stack(data_dir, parts=["mail"]):
        pass  # the refused start did not disturb the lock, and the stopped one returned it


def test_a_killed_supervisor_leaves_no_process_and_the_next_start_works(
    data_dir: Path, supervised: Start
) -> None:
    first = supervised(data_dir, "postgres", "temporal", "mail", "echo")
    processes = [psutil.Process(pid) for pid in first.pids()]
    assert len(processes) > 6  # four parts and the helpers of PostgreSQL
    first.kill()
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []
    second = supervised(data_dir, "postgres", "temporal", "mail", "echo")
    assert second.state()["ports"] == first.state()["ports"]
    assert second.stop() == 0


def test_a_termination_signal_stops_everything_in_order(data_dir: Path, supervised: Start) -> None:
    supervisor = supervised(data_dir, "postgres", "mail")
    processes = [psutil.Process(pid) for pid in supervisor.pids()]
    assert supervisor.stop() == 0
    assert psutil.wait_procs(processes, timeout=1)[1] == []
    log = (data_dir / "logs" / "postgres.log").read_text()
    assert "database system is shut down" in log
    assert supervisor.state()["status"] == "stopped"


async def test_a_stale_lock_file_naming_a_living_stranger_does_not_stop_postgres(data_dir: Path) -> None:
    server = Postgres(data_dir, durable=False)
    await server.start()
    assert server.child is not None
    server.child._process.kill()
    await server.child.exited()
    lock = server.cluster / "postmaster.pid"
    lines = lock.read_text().splitlines()
    stranger = await asyncio.create_subprocess_exec(
        "sleep", "60", **({"user": server.account.uid} if server.account else {})
    )
    try:
        lock.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        await server.start()
        assert stranger.returncode is None, "a process that is not ours was ended"
        await server.stop()
    finally:
        stranger.kill()
        await stranger.wait()


def test_orphans_of_a_killed_supervisor_are_ended_but_never_a_recycled_number(
    data_dir: Path, supervised: Start
) -> None:
    supervised(data_dir, "mail").stop()
    state = json.loads((data_dir / "stack.json").read_text())
    state["parts"]["mail"] |= {"pid": os.getpid(), "started": "another life:1", "status": "running"}
    (data_dir / "stack.json").write_text(json.dumps(state))
    assert supervised(data_dir, "mail").stop() == 0  # and this test still lives


async def test_the_partner_remembers_keys_across_its_own_death(data_dir: Path) -> None:
    async with Stack(data_dir, parts=["echo"]) as stack:
        records = stack.urls["echo"] + "/records"
        async with httpx2.AsyncClient(headers={"Idempotency-Key": "k1"}) as client:
            first = await client.post(records, json={"a": 1})
            await comes_back(stack, "echo")
            again = await client.post(records, json={"a": 1})
            other = await client.post(records, json={"a": 2})
        assert (first.status_code, again.status_code, other.status_code) == (201, 201, 409)
        assert again.json() == first.json()
    logged = Ledger(data_dir / "echo" / "ledger.jsonl").entries()
    assert [(entry["status"], entry["repeated"]) for entry in logged] == [
        (201, False),
        (201, True),
        (409, True),
    ]


async def test_mail_acknowledged_before_a_kill_is_in_the_maildir(data_dir: Path) -> None:
    async with Stack(data_dir, parts=["mail"]) as stack:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "a@example.org", "b@example.org", "Grüße"
        message["Message-ID"] = "<one@example.org>"
        message.set_content("hello")
        port = stack.state.ports["mail"]
        await aiosmtplib.send(message, hostname="127.0.0.1", port=port, start_tls=False)
        await comes_back(stack, "mail")
    (kept,) = list_new(data_dir / "mail")
    assert b"Message-ID: <one@example.org>" in kept
    assert b"X-Envelope-To: b@example.org" in kept


def list_new(maildir: Path) -> list[bytes]:
    return [message.read_bytes() for message in (maildir / "new").iterdir()]


async def test_a_postgres_that_goes_down_while_it_is_set_up_is_a_failed_start(data_dir: Path) -> None:
    """Any other error would end the supervisor's watch over it."""
    fields = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is in recovery mode\0\0"

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # may we speak TLS?
        writer.write(b"N")
        await reader.read(1000)
        writer.write(b"E" + (len(fields) + 4).to_bytes(4) + fields)
        writer.close()

    postgres = Postgres(data_dir)
    (data_dir / "postgres" / "passwords").mkdir(parents=True)
    server = await asyncio.start_server(refuse, "127.0.0.1", postgres.port)
    with pytest.raises(StackError, match="recovery mode"):
        await postgres.settle()
    server.close()

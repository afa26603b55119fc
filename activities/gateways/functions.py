"""Fetches the functions that definitions name by their address, through the guarded client."""

from collections.abc import Callable
from typing import Final
from uuid import UUID

from activities.gateways.addresses import Resolver, system_resolver
from activities.gateways.http_client import GuardedHttpClient, Limits
from activities.gateways.http_messages import HttpRequest
from domain.addresses import AddressPolicy
from domain.definitions.faults import Fault
from domain.definitions.functions import MAX_FUNCTION_BYTES, FunctionUnavailable

LIMITS: Final = Limits(connect=5.0, total=10.0, body=MAX_FUNCTION_BYTES)


class WebFunctions:
    """Without credentials, whatever the organization: a function is public, or it is not to be had."""

    def __init__(
        self, policy: Callable[[UUID], AddressPolicy], *, resolver: Resolver = system_resolver
    ) -> None:
        self._policy = policy
        self._http = GuardedHttpClient(limits=LIMITS, resolver=resolver)

    async def fetch(self, organization_id: UUID, address: str) -> bytes:
        """The text at the address, up to three redirects away. Raises FunctionUnavailable."""
        accept = ("Accept", "application/yaml, application/json;q=0.9, text/plain;q=0.8, */*;q=0.1")
        request = HttpRequest("GET", address, (accept,))
        try:
            response = await self._http.send(request, self._policy(organization_id), follow_redirects=True)
        except Fault as fault:
            raise FunctionUnavailable(fault.detail or fault.title) from fault
        if response.status != 200:
            raise FunctionUnavailable(f"the server answers {response.status} {response.reason}".rstrip())
        return response.body

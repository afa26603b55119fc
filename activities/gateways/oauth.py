"""Tokens from authorities: asked for when a call needs one, kept in this worker's memory until shortly before they
expire. What is kept belongs to one organization and one exact configuration, its secrets included."""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from activities.gateways.http_client import GuardedHttpClient
from activities.gateways.http_messages import HttpRequest, HttpResponse
from domain.addresses import AddressPolicy
from domain.definitions.faults import Fault
from domain.definitions.values import Json, canonical
from domain.http_authentications import Client, Grant, OAuth2
from domain.oauth import (
    MAX_ANSWER,
    Authority,
    Issued,
    check_issuer,
    client_request,
    configuration_address,
    encoded,
    introspected_issuer,
    issuer_of,
    read_configuration,
    read_token,
    signed_assertion,
    token_request,
    written_authority,
)

#: What all questions to an authority for one call may take together, in seconds.
PATIENCE: Final = 10.0
MOST_TOKENS: Final = 1024


@dataclass(frozen=True, slots=True)
class Key:
    """Whose token, and for which configuration."""

    organization_id: UUID
    digest: str

    @classmethod
    def of(cls, organization_id: UUID, policy: Grant) -> "Key":
        what: Json = {type(policy).__name__: policy.model_dump(mode="json")}
        return cls(organization_id, sha256(canonical(what)).hexdigest())


class Tokens:
    """The tokens of one worker; the least recently used give way."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[Key, tuple[Issued, float]] = OrderedDict()
        self._asking: dict[Key, asyncio.Task[Issued]] = {}

    async def bearer(
        self, key: Key, policy: Grant, http: GuardedHttpClient, addresses: AddressPolicy
    ) -> tuple[str, bool]:
        """A token, and whether it was kept from an earlier call. Raises Fault; nothing of the call was sent then.

        Calls that need the same token at once ask once, and share what comes of it.
        """
        kept = self._kept.get(key)
        if kept is not None and self._clock() < kept[1]:
            self._kept.move_to_end(key)
            return kept[0].access, True
        asking = self._asking.get(key)
        if asking is None:
            refresh = None if kept is None else kept[0].refresh
            asking = asyncio.create_task(_issued(policy, refresh, http, addresses))
            self._asking[key] = asking
            asking.add_done_callback(partial(self._asked, key))
        # A call that is cancelled meanwhile leaves the others their answer.
        issued = await asyncio.shield(asking)
        return issued.access, False

    def _asked(self, key: Key, asking: "asyncio.Task[Issued]") -> None:
        self._asking.pop(key, None)
        if asking.cancelled() or asking.exception() is not None:
            # What was kept has expired, and its refresh token may be what is refused.
            self._kept.pop(key, None)
            return
        self._kept[key] = (asking.result(), self._clock() + asking.result().life)
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_TOKENS:
            self._kept.popitem(last=False)

    def drop(self, key: Key, access: str) -> None:
        """Forget a token that its receiver does not accept; a newer one stays. Its refresh token stays too."""
        kept = self._kept.get(key)
        if kept is not None and kept[0].access == access:
            self._kept[key] = (kept[0], 0.0)


async def _issued(
    policy: Grant, refresh: str | None, http: GuardedHttpClient, addresses: AddressPolicy
) -> Issued:
    asking = _Asking(policy, http, addresses)
    try:
        async with asyncio.timeout(PATIENCE):
            return await asking.token(refresh)
    except TimeoutError:
        host = urlsplit(policy.authority).hostname
        detail = f"{host} did not issue a token within {PATIENCE:g} s"
        raise Fault("communication", 504, "No token", detail, transient=True) from None


@dataclass(frozen=True, slots=True)
class _Asking:
    """Asks one authority. It is never followed elsewhere: what is sent are credentials."""

    policy: Grant
    http: GuardedHttpClient
    addresses: AddressPolicy

    async def token(self, refresh: str | None) -> Issued:
        authority = await self._authority()
        client = self.policy.client
        headers, asked = token_request(
            self.policy, refresh=refresh, assertion=_assertion(client, authority.token)
        )
        answer = await self._post(authority.token, headers, asked, self.policy.request.encoding)
        issued = read_token(_host(authority.token), answer.status, answer.body)
        if self.policy.issuers:
            await self._check_issuer(authority, issued.access)
        return issued if issued.refresh or not refresh else Issued(issued.access, issued.life, refresh)

    async def _authority(self) -> Authority:
        address = configuration_address(self.policy)
        if address is None:
            assert isinstance(self.policy, OAuth2)
            return written_authority(self.policy)
        answer = await self._send(HttpRequest("GET", address, (("Accept", "application/json"),)))
        if answer.status != 200:
            detail = f"{_host(address)} answered {answer.status} for its configuration; check `authority`"
            raise Fault("communication", answer.status, "No token", detail)
        return read_configuration(address, answer.body, self.policy.issuers)

    async def _check_issuer(self, authority: Authority, token: str) -> None:
        issuer = issuer_of(token)
        if issuer is None and authority.introspection is not None:
            proof = _assertion(self.policy.client, authority.introspection)
            headers, asked = client_request(self.policy.client, proof)
            asked["token"] = token
            answer = await self._post(
                authority.introspection, headers, asked, "application/x-www-form-urlencoded"
            )
            issuer = introspected_issuer(_host(authority.introspection), answer.status, answer.body)
        check_issuer(_host(authority.token), issuer, self.policy.issuers)

    async def _post(
        self, address: str, headers: tuple[tuple[str, str], ...], asked: dict[str, Any], encoding: str
    ) -> HttpResponse:
        more, body = encoded(asked, encoding)
        return await self._send(HttpRequest("POST", address, (*headers, *more), body))

    async def _send(self, request: HttpRequest) -> HttpResponse:
        answer = await self.http.send(request, self.addresses)
        if len(answer.body) > MAX_ANSWER:
            detail = f"{_host(request.url)} answered with more than {MAX_ANSWER} bytes"
            raise Fault("communication", 413, "No token", detail)
        return answer


def _assertion(client: Client, audience: str) -> str | None:
    if client.authentication != "client_secret_jwt":
        return None
    return signed_assertion(client, audience, id=secrets.token_urlsafe(16), now=int(time.time()))


def _host(address: str) -> str:
    return urlsplit(address).hostname or "the authority"

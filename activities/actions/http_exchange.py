"""One request with its authentication: a header, a challenge answered, or a token asked for first."""

import secrets
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote_plus

import httpx2

from activities.actions.context import ActionContext
from activities.gateways.addresses import NotSent
from activities.gateways.http_messages import HttpRequest, HttpResponse
from activities.gateways.oauth import Key
from domain import http_digest
from domain.definitions.faults import Fault
from domain.http import Headers, basic_credentials
from domain.http_authentications import Basic, Bearer, Digest, Grant, Policy
from domain.masking import Mask

#: A nonce may have gone stale between a challenge and its answer: once more then, and no further.
_ANSWERS: Final = 2


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The answer, the headers it was asked with, and what hides a token in either."""

    response: HttpResponse
    headers: Headers
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """Sends requests for one call; `repeatable` says whether the engine may try again on its own."""

    context: ActionContext
    repeatable: bool

    async def send(
        self, request: HttpRequest, credentials: tuple[str, Policy] | None, *, redirects: bool
    ) -> Exchanged:
        """The answer whatever its status. Raises Fault, with tokens masked."""
        if credentials is None:
            return Exchanged(await self._send(request, redirects), request.headers)
        if any(name.lower() == "authorization" for name, _ in request.headers):
            message = "both /headers and the authentication give Authorization; remove one"
            raise Fault("validation", 400, "Arguments refused", message)
        match credentials[1]:
            case Basic(username=username, password=password):
                return await self._with(request, basic_credentials(username, password), redirects)
            case Bearer(token=token):
                return await self._with(request, f"Bearer {token}", redirects)
            case Digest() as policy:
                return await self._challenged(request, policy, redirects)
            case Grant() as policy:
                return await self._with_token(request, policy, redirects)
        raise AssertionError(f"no scheme sends {credentials[0]}")

    async def _with(self, request: HttpRequest, authorization: str, redirects: bool) -> Exchanged:
        sent = replace(request, headers=(*request.headers, ("Authorization", authorization)))
        return Exchanged(await self._send(sent, redirects), sent.headers)

    async def _challenged(self, request: HttpRequest, policy: Digest, redirects: bool) -> Exchanged:
        """Asked without credentials first: a refusal did nothing, so sending again is no repetition."""
        answered = Exchanged(await self._send(request, redirects), request.headers)
        for _ in range(_ANSWERS):
            response = answered.response
            asked = http_digest.challenge(
                value for name, value in response.headers if name.lower() == "www-authenticate"
            )
            # Where a redirect led, nobody was given credentials for.
            if response.status != 401 or asked is None or response.url != request.url:
                break
            first = answered.headers == request.headers
            if not (first or asked.stale):
                break
            authorization = http_digest.answer(
                asked,
                username=policy.username,
                password=policy.password,
                method=request.method,
                target=httpx2.URL(request.url).raw_path.decode("ascii"),
                body=request.body or b"",
                cnonce=secrets.token_urlsafe(16),
            )
            answered = await self._with(request, authorization, redirects)
        return answered

    async def _with_token(self, request: HttpRequest, policy: Grant, redirects: bool) -> Exchanged:
        services, organization = self.context.services, self.context.organization_id
        key, addresses = Key.of(organization, policy), services.http_policy(organization)
        while True:
            try:
                token, was_kept = await services.tokens.bearer(key, policy, services.http, addresses)
            except Fault as fault:
                raise masked(self.unsent(fault), _client_mask(policy)) from None
            mask = Mask({"access_token": token})
            try:
                answered = await self._with(request, f"Bearer {token}", redirects)
            except Fault as fault:
                raise masked(fault, mask) from None
            if answered.response.status == 401:
                services.tokens.drop(key, token)
                # Revoked perhaps, and nothing was done: a new one may be accepted. A new one that is not, will not be.
                if was_kept:
                    continue
            return replace(answered, mask=mask)

    async def _send(self, request: HttpRequest, redirects: bool) -> HttpResponse:
        services = self.context.services
        policy = services.http_policy(self.context.organization_id)
        try:
            return await services.http.send(request, policy, follow_redirects=redirects)
        except NotSent as fault:
            raise self.unsent(fault) from None

    def unsent(self, fault: Fault) -> Fault:
        """Nothing happened outside, which for an irreversible call is worth more than another attempt."""
        told = Fault.from_json(fault.as_json())
        told.transient = fault.transient and self.repeatable
        return told


def _client_mask(policy: Grant) -> Mask | None:
    """The client's secret as it is encoded before it becomes a header, which no other mask knows."""
    secret = policy.client.secret
    return None if secret is None else Mask({"client_secret": quote_plus(secret)})


def masked(fault: Fault, mask: Mask | None) -> Fault:
    """The fault without the token: another one, because an exception keeps the words it was made of."""
    if mask is None:
        return fault
    told = mask.value(fault.as_json()) | {"status": fault.status}
    if fault.detail is not None:
        told["detail"] = mask.excerpt(fault.detail)
    shown = Fault.from_json(told)
    shown.transient = fault.transient
    return shown

"""HTTP calls of the definition language, sent through the guarded client."""

from datetime import timedelta
from typing import Any

from activities.actions.context import ActionContext
from activities.actions.declaration import action
from activities.actions.http_arguments import HttpCall, address_of
from activities.actions.http_credentials import credentials
from activities.actions.http_exchange import Exchange
from activities.actions.http_outputs import output_of
from activities.actions.http_requests import outbound
from domain.actions import Effect, Lane
from domain.http import effect_of, flatten_query, simple_text
from domain.uris import expand


def _effect(arguments: HttpCall) -> Effect:
    return effect_of(arguments.method, idempotent=arguments.idempotent)


@action(
    "http.request",
    version="1.0.0",
    title="Call an HTTP service",
    effect=Effect.KEYED,
    lane=Lane.ACTIVITY,
    timeout=timedelta(seconds=35),
    effect_of=_effect,
)
async def request(context: ActionContext, arguments: HttpCall) -> Any:
    """Send one request to a public address and return its content, the whole response, or the raw body as
    base64. Every method but GET, HEAD and OPTIONS carries an Idempotency-Key that stays the same when the
    step is repeated after a lost worker."""
    uri, authentication = address_of(arguments.endpoint)
    sent = outbound(
        arguments.method.upper(),
        expand(uri, arguments.variables),
        query=flatten_query(arguments.query),
        headers={name: simple_text(value) for name, value in arguments.headers.items()},
        body=arguments.body,
        effect_key=context.effect_key,
    )
    exchange = Exchange(context, repeatable=_effect(arguments) is not Effect.IRREVERSIBLE)
    policy = credentials(authentication, arguments.variables)
    answered = await exchange.send(sent, policy, redirects=arguments.redirect)
    return output_of(answered, arguments.output, redirects=arguments.redirect)

"""How a sender proves itself. `scheme_of(configuration)` gives the rule of a trigger; each fails closed."""

from collections.abc import Mapping

from domain.webhooks.configuration import Configuration, SchemeName
from domain.webhooks.schemes import basic, bearer, configurable, github, standard, stripe, url
from domain.webhooks.schemes.scheme import Scheme

__all__ = ["Scheme", "scheme_of"]

_FIXED: Mapping[SchemeName, Scheme] = {
    SchemeName.STANDARD: standard.SCHEME,
    SchemeName.STRIPE: stripe.SCHEME,
    SchemeName.GITHUB: github.SCHEME,
    SchemeName.BEARER: bearer.SCHEME,
    SchemeName.BASIC: basic.SCHEME,
    SchemeName.URL: url.SCHEME,
}


def scheme_of(configuration: Configuration) -> Scheme:
    if configuration.scheme is SchemeName.HMAC:
        assert configuration.signature is not None, "a parsed configuration of hmac says what is signed"
        return configurable.scheme(configuration.signature)
    return _FIXED[configuration.scheme]

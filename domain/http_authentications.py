"""How a call proves who sends it, in the words of the definition language; values here are credentials."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

CLIENT_CREDENTIALS: Final = "client_credentials"
PASSWORD: Final = "password"  # noqa: S105  # the name of a grant
REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105  # the name of a grant
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  # the name of a grant
#: `authorization_code` is a grant of the language too, but it needs a person at a browser.
GRANTS: Final = (CLIENT_CREDENTIALS, PASSWORD, REFRESH_TOKEN, TOKEN_EXCHANGE)
CLIENT_METHODS: Final = (
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "none",
)
#: Where the arguments of a call may hold an authentication.
PLACES: Final = (
    ("endpoint", "authentication"),
    ("document", "endpoint", "authentication"),
    ("authentication",),
)
ENCODINGS: Final = ("application/x-www-form-urlencoded", "application/json")

Text = Annotated[str, Field(min_length=1, max_length=8192)]
Texts = Annotated[list[Text], Field(max_length=50)]


class Policy(BaseModel):
    """Unknown names are refused, so that no typing error goes unnoticed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FromSecret(Policy):
    """Everything comes from one secret: in a definition `use` is its name, in a call its content."""

    use: Annotated[str, Field(min_length=1, max_length=65_536)]


class Basic(Policy):
    username: str
    password: str


class Bearer(Policy):
    token: Text


class Digest(Policy):
    username: str
    password: str


class Client(Policy):
    id: Text | None = None
    secret: str | None = None
    assertion: Text | None = None
    authentication: Literal[
        "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"
    ] = "client_secret_post"

    @model_validator(mode="after")
    def _complete(self) -> "Client":
        if self.authentication != "none" and self.id is None:
            raise ValueError("the client needs its id, unless its authentication is none")
        if self.authentication == "private_key_jwt" and self.assertion is None:
            raise ValueError("private_key_jwt needs the signed assertion")
        if self.authentication == "client_secret_jwt" and not self.secret:
            raise ValueError("client_secret_jwt needs the client's secret, which signs the assertion")
        return self


class TokenRequest(Policy):
    encoding: Literal["application/x-www-form-urlencoded", "application/json"] = (
        "application/x-www-form-urlencoded"
    )


class SecurityToken(Policy):
    token: Text
    type: Text


class Grant(Policy):
    """What OAuth 2 and OpenID Connect have in common: where a token comes from, and for whom."""

    authority: Text
    grant: Literal[
        "client_credentials", "password", "refresh_token", "urn:ietf:params:oauth:grant-type:token-exchange"
    ]
    client: Client = Client(authentication="none")
    request: TokenRequest = TokenRequest()
    issuers: Texts = []
    scopes: Texts = []
    audiences: Texts = []
    username: str | None = None
    password: str | None = None
    subject: SecurityToken | None = None
    actor: SecurityToken | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Grant":
        if self.grant == PASSWORD and (self.username is None or self.password is None):
            raise ValueError("the grant password needs username and password")
        if self.grant in (REFRESH_TOKEN, TOKEN_EXCHANGE) and self.subject is None:
            raise ValueError(f"the grant {self.grant} needs the token to exchange as subject")
        if self.grant == CLIENT_CREDENTIALS and self.client.id is None:
            raise ValueError("the grant client_credentials needs a client with its id")
        return self


class Endpoints(Policy):
    """Below the authority, or whole addresses."""

    token: Text = "/oauth2/token"  # noqa: S105  # an address
    revocation: Text = "/oauth2/revoke"
    introspection: Text = "/oauth2/introspect"


class OAuth2(Grant):
    endpoints: Endpoints | None = None


class Oidc(Grant):
    """Its endpoints stand in the authority's own configuration."""


def _form(value: Any) -> str:
    if isinstance(value, FromSecret) or (isinstance(value, dict) and "use" in value):
        return "secret"
    return "written"


Source = Discriminator(_form)
Secret = Annotated[FromSecret, Tag("secret")]


class Authentication(Policy):
    """Exactly one of the five."""

    basic: Annotated[Annotated[Basic, Tag("written")] | Secret, Source] | None = None
    bearer: Annotated[Annotated[Bearer, Tag("written")] | Secret, Source] | None = None
    digest: Annotated[Annotated[Digest, Tag("written")] | Secret, Source] | None = None
    oauth2: Annotated[Annotated[OAuth2, Tag("written")] | Secret, Source] | None = None
    oidc: Annotated[Annotated[Oidc, Tag("written")] | Secret, Source] | None = None

    @model_validator(mode="after")
    def _one(self) -> "Authentication":
        if len(self.given) != 1:
            raise ValueError("authentication needs exactly one of basic, bearer, digest, oauth2 and oidc")
        return self

    @property
    def given(self) -> dict[str, Any]:
        """The policy by the name of its scheme."""
        named = {name: getattr(self, name) for name in SCHEMES}
        return {name: policy for name, policy in named.items() if policy is not None}


SCHEMES: Final[dict[str, type[Policy]]] = {
    "basic": Basic,
    "bearer": Bearer,
    "digest": Digest,
    "oauth2": OAuth2,
    "oidc": Oidc,
}

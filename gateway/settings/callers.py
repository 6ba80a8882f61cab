"""Who calls: the tables `[[issuers]]` and `[callers.NAME]` of `gateway.toml`.

Rule: this module says what one value may be; `checks` says what must hold between values.
"""

from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    Strict,
    ValidationInfo,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import CoreSchema

from gateway.settings.key_sources import SecretSource
from gateway.settings.values import (
    TABLE,
    Algorithm,
    Count,
    Date,
    FilePath,
    Flag,
    HttpsUrl,
    PeerNetwork,
    Rate,
    Seconds,
    SecondsOrZero,
    Size,
    Table,
    TenantPattern,
    Text,
    Word,
    expects,
)
from gateway.settings.wording import is_token

_LONGEST_NAME: Final = 256
CALLER_NAME: Final = f"1 to {_LONGEST_NAME} printable characters, and not a token"
_EMPTY_HASH: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def is_caller_name(name: str) -> bool:
    """Whether a caller may be called so: `CALLER_NAME`."""
    return name.isprintable() and 0 < len(name) <= _LONGEST_NAME and not is_token(name)


class Issuer(Table):
    """An issuer of callers' JSON Web Tokens, and what its claims mean.

    Exactly one origin of keys: `jwks_file`, `public_key_file`, `secret`, `jwks_url`, `discovery`.
    """

    issuer: Text
    """The `iss` of its tokens."""
    audience: Text
    """What `aud` must be, or contain if it is a list."""
    single_audience: Flag = False
    """True: a token that names others beside us in `aud` is refused, as they could show it here."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)]
    """Accepted signature algorithms; HS256, HS384 and HS512 only with `secret`."""
    jwks_file: FilePath | None = None
    """Keys from a file: a JSON Web Key Set."""
    public_key_file: FilePath | None = None
    """The key from a file: one public key in PEM."""
    secret: SecretSource | None = None
    """A secret shared with the issuer, at least as long as the hash of its algorithm."""
    jwks_url: HttpsUrl | None = None
    """Keys from a URL: a JSON Web Key Set."""
    discovery: Flag = False
    """True: keys are found by OpenID discovery below the issuer's URL."""
    jwks_ca_file: FilePath | None = None
    """The only trust anchors for fetching. Left out: the system's."""
    jwks_bearer_file: FilePath | None = None
    """A file with a bearer token, read at each fetch; for the host of `jwks_url` or `issuer`."""
    jwks_refresh: Seconds = 300.0
    """How often keys, or a `secret` in a store, are fetched again."""
    jwks_max_stale: SecondsOrZero = 86400.0
    """How long known keys are used while the issuer, or the secret's store, is unavailable."""
    leeway: SecondsOrZero = 5.0
    """How far clocks may differ, for `exp`, `nbf` and `iat`."""
    max_token_age: Seconds | None = None
    """Longest time since `iat`, which is then required. Left out: `exp` alone decides."""
    max_token_bytes: Annotated[
        Size, Field(ge=256, le=65536), expects('a size from "256B" to "64KiB"')
    ] = 8192
    """Largest token."""
    caller_claim: Text = "sub"
    """The claim, or path such as `kubernetes.io.serviceaccount.name`, that names the caller."""
    caller_template: Text | None = None
    """Instead of `caller_claim`: a name made of several claims, `{namespace}/{serviceaccount}`."""
    tenant_claim: Text | None = None
    """The claim, or path, that names the tenant."""
    tenant_claim_required: Flag = True
    """False: a request whose token lacks that claim may name its tenant by header."""


def _digest(text: str, info: ValidationInfo) -> str:
    # Files must spell the algorithm out: 64 bare hex digits may well be a token itself.
    prefix, _, digits = text.rpartition(":")
    if prefix != "sha256" and not (prefix == "" and info.context is None):
        raise ValueError
    if len(digits) != 64 or not set(digits.lower()) <= set("0123456789abcdef"):
        raise ValueError
    if digits.lower() == _EMPTY_HASH:
        raise ValueError
    return digits.lower()


@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
class CallerToken:
    """An opaque token, given as the SHA-256 of its text."""

    hash: Annotated[
        str,
        Strict(),
        AfterValidator(_digest),
        expects('"sha256:" and 64 hex digits, as `invopop-gateway tokens hash` prints them'),
    ]
    """The token's hash; a string instead of the table means this alone."""
    expires: Date | None = None
    """The last day (UTC) on which it works."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"hash": value} if isinstance(value, str) else value


class _OrText:
    """In JSON Schema: the hash alone may stand in place of the table."""

    @staticmethod
    def __get_pydantic_json_schema__(
        schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            "anyOf": [{"type": "string", "pattern": "^sha256:[0-9A-Fa-f]{64}$"}, handler(schema)]
        }


# There may be many: slots take a quarter of the memory of a model.
@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
class CallerSettings:
    """One internal service: how it proves who it is, and what it may do."""

    tokens: tuple[Annotated[CallerToken, _OrText()], ...] = ()
    """Hashes of opaque tokens."""
    issuers: tuple[Text, ...] | None = None
    """Issuers whose JSON Web Tokens may name it. Left out: the only one configured. `[]` = none."""
    networks: tuple[PeerNetwork, ...] = ()
    """Peers that need no token; the narrowest wins. `unix` is the socket, `unix:1000` that uid on
    it."""
    certificates: tuple[Word, ...] = ()
    """Exact URI or DNS names of client certificates."""
    tenants: tuple[TenantPattern, ...] = ()
    """Tenants it may act for: names, and globs such as `globex-*`."""
    allow: tuple[Text, ...] | None = None
    """Operations it may use: names, globs, `@` presets, or `METHOD /path`. Left out: all."""
    deny: tuple[Text, ...] = ()
    """Operations it may not use, in the same form, in any spelling; wins over `allow`."""
    enforce: Flag = True
    """False: what `allow` alone would refuse is let through, logged and counted."""
    requests_per_second: Rate | None = None
    """Rate limit of the caller, besides those of its tenants. 0 = no limit."""
    burst: Count | None = None
    """Requests that may come at once within it. 0 = one second's worth."""

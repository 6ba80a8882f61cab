"""Who calls: the tables `[[issuers]]` and `[callers.NAME]` of `gateway.toml`.

Law: what one value may be is said here; what must hold between values, in `checks`.
"""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, Strict, ValidationInfo, model_validator

from gateway.settings.values import (
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
from gateway.settings.vault_file import ListedSource

_LONGEST_NAME: Final = 256
CALLER_NAME: Final = f"1 to {_LONGEST_NAME} printable characters"
_EMPTY_HASH: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def is_caller_name(name: str) -> bool:
    """Whether a caller may be called so: `CALLER_NAME`."""
    return name.isprintable() and 0 < len(name) <= _LONGEST_NAME


class Issuer(Table):
    """Who signs callers' JSON Web Tokens, and which of its claims say what.

    Exactly one origin of keys: `jwks_file`, `public_key_file`, `secret`, `jwks_url`, `discovery`.
    """

    issuer: Text
    """The `iss` of its tokens."""
    audience: Text
    """What `aud` must hold."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)]
    """The signatures believed. HS256/384/512 only with `secret`."""
    jwks_file: FilePath | None = None
    """Origin of keys: a JSON Web Key Set."""
    public_key_file: FilePath | None = None
    """Origin of keys: one public key in PEM."""
    secret: ListedSource | None = None
    """Origin of keys: a secret shared with the issuer, at least as long as its hash."""
    jwks_url: HttpsUrl | None = None
    """Origin of keys: a JSON Web Key Set that is fetched."""
    discovery: Flag = False
    """Origin of keys: OpenID discovery below the issuer's URL."""
    jwks_ca_file: FilePath | None = None
    """The only trust anchor of what is fetched; else the public ones."""
    jwks_bearer_file: FilePath | None = None
    """A token shown when fetching, read anew each time."""
    jwks_refresh: Seconds = 300.0
    """How often keys are fetched again; a `secret` too, if it lies in a store."""
    jwks_max_stale: SecondsOrZero = 86400.0
    """How long known keys serve while the issuer, or the secret's store, is away."""
    leeway: SecondsOrZero = 5.0
    """By how much clocks may differ, for `exp`, `nbf` and `iat`."""
    max_token_age: Seconds | None = None
    """Longest time since `iat`, which must then be there; else `exp` alone decides."""
    max_token_bytes: Annotated[Size, Field(ge=256, le=65536)] = 8192
    """Longest token."""
    caller_claim: Text = "sub"
    """The claim, or path such as `kubernetes.io.serviceaccount.name`, that is the caller."""
    caller_template: Text | None = None
    """Instead: a name made of several claims, `{namespace}/{serviceaccount}`."""
    tenant_claim: Text | None = None
    """The claim, or path, that names the tenant."""
    tenant_claim_required: Flag = True
    """False: a token without that claim may name its tenant by header."""


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


class CallerToken(Table):
    """An opaque token, known by the SHA-256 of its text: 64 hex digits, lower case."""

    hash: Annotated[
        str,
        Strict(),
        AfterValidator(_digest),
        expects('"sha256:" and 64 hex digits, as `invopop-gateway tokens hash` prints them'),
    ]
    """The token's hash; a string in place of the table is this alone."""
    expires: Date | None = None
    """The last day (UTC) on which it works."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"hash": value} if isinstance(value, str) else value


class CallerSettings(Table):
    """One internal service, NAME: how it proves who it is, and what it may do."""

    tokens: tuple[CallerToken, ...] = ()
    """Hashes of opaque tokens."""
    issuers: tuple[Text, ...] | None = None
    """Whose JSON Web Tokens name it. Left out: the only issuer configured. `[]` = none."""
    networks: tuple[PeerNetwork, ...] = ()
    """Peers that need no token; the narrowest wins. `unix`, `unix:1000`: the socket, that uid."""
    certificates: tuple[Word, ...] = ()
    """URI or DNS names of client certificates, exactly."""
    tenants: tuple[TenantPattern, ...] = ()
    """On whose behalf it may act: names, and globs such as `globex-*`."""
    allow: tuple[Text, ...] | None = None
    """Operations, globs, `@` presets, or `METHOD /path`. Left out: every operation."""
    deny: tuple[Text, ...] = ()
    """The same; wins over `allow`."""
    enforce: Flag = True
    """False: what only `allow` would refuse is let through, logged and counted."""
    requests_per_second: Rate | None = None
    """The caller's own limit, beside its tenants'. 0 = no limit."""
    burst: Count | None = None
    """Requests that may come at once under it. 0 = one second's worth."""

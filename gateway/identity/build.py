"""Settings → `Authenticator`: reads key files, makes the ways in which a caller can be known.

Law: every file that is wrong is a problem in the list; what has problems must not be used.
"""

import ssl
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx

from gateway.errors import Problem
from gateway.events import Emit
from gateway.identity.authenticator import Authenticator, Ways
from gateway.identity.certificates import Certificates
from gateway.identity.claims import (
    ClaimRules,
    NameTemplate,
    claim_template,
    parse_template,
    split_path,
)
from gateway.identity.jwks import Fetch, Fetched, RemoteKeys
from gateway.identity.jwks_client import JwksClient
from gateway.identity.keys import (
    FixedKeys,
    KeySet,
    KeySetError,
    KeySource,
    from_document,
    from_pem,
    from_secret,
)
from gateway.identity.networks import Networks
from gateway.identity.tokens import compile_tokens
from gateway.identity.verifier import TrustedIssuer, Verifier
from gateway.secret import Secret
from gateway.settings.callers import Issuer
from gateway.settings.schema import Settings

T = TypeVar("T")
ReadSecret = Callable[[], Awaitable[Secret]]


class _Wrong(Exception):
    """A setting of an issuer that cannot be used. Its `key` is the setting's name alone."""

    def __init__(self, key: str, found: str, expected: str, file: Path | None = None) -> None:
        super().__init__(key)
        self.problem = Problem(str(file or ""), key, found, expected)


def build_authenticator(
    settings: Settings,
    secrets: Mapping[str, str | ReadSecret],
    emit: Emit,
) -> tuple[Authenticator, list[Problem]]:
    """The authenticator for these settings, and everything wrong with the files they name.

    `secrets` are the HMAC secrets by issuer, or how one is read from its store: that raises
    `KeySetError`. The `file` of a problem is "" where the configuration file itself is wrong.
    """
    makers = _Makers(secrets, emit)
    issuers: list[TrustedIssuer] = []
    problems: list[Problem] = []
    for index, issuer in enumerate(settings.issuers):
        rules = _noted(problems, index, _rules, issuer)
        keys = _noted(problems, index, makers.keys, issuer)
        if rules is not None and keys is not None:
            algorithms = frozenset(issuer.algorithms)
            issuers.append(TrustedIssuer(rules, algorithms, issuer.max_token_bytes, keys))
    ways = Ways(
        placeholders=frozenset(word.encode() for word in settings.listen.placeholder_tokens),
        tokens=compile_tokens(settings.callers),
        verifier=Verifier(issuers, _believed(settings)),
        certificates=Certificates({n: c.certificates for n, c in settings.callers.items()}),
        networks=Networks({n: c.networks for n, c in settings.callers.items()}),
        own_names=_own_names(settings),
        remote=tuple(i.keys for i in issuers if isinstance(i.keys, RemoteKeys)),
    )
    return Authenticator(ways), problems


def _own_names(settings: Settings) -> frozenset[bytes]:
    """Clients go by Invopop's name where it leads to us, and by those that the operator lists."""
    upstream = urlsplit(settings.upstream.url).hostname or ""
    return frozenset(name.lower().encode() for name in (upstream, *settings.listen.host_names))


def _noted(
    problems: list[Problem], index: int, make: Callable[[Issuer], T], issuer: Issuer
) -> T | None:
    """What `make` makes of an issuer; None, and a problem in the list, if it cannot."""
    try:
        return make(issuer)
    except _Wrong as wrong:
        problems.append(wrong.problem._replace(key=f"issuers[{index}].{wrong.problem.key}"))
        return None


def _believed(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each caller with each issuer whose tokens may name it."""
    names = tuple(issuer.issuer for issuer in settings.issuers)
    only = names if len(names) == 1 else ()
    for name, caller in settings.callers.items():
        for issuer in only if caller.issuers is None else caller.issuers:
            yield name, issuer


def _rules(issuer: Issuer) -> ClaimRules:
    return ClaimRules(
        issuer=issuer.issuer,
        audience=issuer.audience,
        leeway=issuer.leeway,
        max_age=inf if issuer.max_token_age is None else issuer.max_token_age,
        caller=_template(issuer),
        tenant=None if issuer.tenant_claim is None else split_path(issuer.tenant_claim),
        tenant_required=issuer.tenant_claim_required,
    )


def _template(issuer: Issuer) -> NameTemplate:
    if issuer.caller_template is None:
        return claim_template(issuer.caller_claim)
    try:
        return parse_template(issuer.caller_template)
    except ValueError as error:
        expected = 'claims in braces with text between them, such as "{namespace}/{serviceaccount}"'
        raise _Wrong("caller_template", str(error), expected) from None


class _Makers:
    """Makes the key source of an issuer, of whichever kind the settings name."""

    def __init__(self, secrets: Mapping[str, str | ReadSecret], emit: Emit) -> None:
        self._secrets = secrets
        self._emit = emit

    def keys(self, issuer: Issuer) -> KeySource:
        if issuer.jwks_file:
            return _from_file("jwks_file", issuer.jwks_file, issuer, from_document)
        if issuer.public_key_file:
            return _from_file("public_key_file", issuer.public_key_file, issuer, from_pem)
        if issuer.secret:
            return self._shared(issuer)
        return self._remote(issuer)

    def _shared(self, issuer: Issuer) -> KeySource:
        secret = self._secrets.get(issuer.issuer)
        if secret is None:
            raise _Wrong("secret", "no value", "a secret that can be had")
        if not isinstance(secret, str):
            return self._kept_fresh(issuer, partial(_read, secret, issuer.algorithms))
        try:
            return FixedKeys(from_secret(secret, issuer.algorithms))
        except KeySetError:
            expected = "32 bytes for HS256, 48 for HS384, 64 for HS512, and no public key"
            raise _Wrong("secret", "a secret that must not be used", expected) from None

    def _remote(self, issuer: Issuer) -> KeySource:
        client = JwksClient(issuer.issuer, issuer.jwks_url, _tls(issuer), issuer.jwks_bearer_file)
        try:
            client.authorization()
        except KeySetError:
            file, expected = issuer.jwks_bearer_file, "a file with one token"
            raise _Wrong("jwks_bearer_file", "no token", expected, file) from None
        return self._kept_fresh(issuer, partial(_download, client, issuer.algorithms))

    def _kept_fresh(self, issuer: Issuer, fetch: Fetch) -> RemoteKeys:
        return RemoteKeys(issuer, fetch, self._emit, time.monotonic)


async def _download(client: JwksClient, algorithms: Sequence[str]) -> Fetched:
    document = await client.fetch()
    return Fetched(from_document(document.text, algorithms), document.max_age)


async def _read(secret: ReadSecret, algorithms: Sequence[str]) -> Fetched:
    return Fetched(from_secret((await secret()).reveal(), algorithms))


def _from_file(
    key: str, file: Path, issuer: Issuer, read: Callable[[bytes, Sequence[str]], KeySet]
) -> KeySource:
    expected = "a public key in PEM" if read is from_pem else "a JSON Web Key Set (RFC 7517)"
    expected += f" with a key for {' or '.join(issuer.algorithms)}"
    try:
        return FixedKeys(read(file.read_bytes(), issuer.algorithms))
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror})"
        raise _Wrong(key, found, expected, file) from None
    except KeySetError as error:
        raise _Wrong(key, str(error).replace("_", " "), expected, file) from None


def _tls(issuer: Issuer) -> ssl.SSLContext:
    """Trust in the issuer's own CA alone, or in the public ones."""
    if issuer.jwks_ca_file is None:
        return httpx.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=issuer.jwks_ca_file)
    except OSError:
        expected = "CA certificates in PEM"
        raise _Wrong("jwks_ca_file", "no certificate", expected, issuer.jwks_ca_file) from None

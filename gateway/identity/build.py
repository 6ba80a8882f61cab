"""Settings → `Authenticator`: reads key files, and makes all that a caller can be known by.

Rule: every wrong file is a problem in the list; an authenticator with problems must not be used.
"""

import ssl
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from gateway.errors import Problem
from gateway.events import Emit
from gateway.identity.authenticator import AuthenticationMethods, Authenticator
from gateway.identity.claims import (
    ClaimRules,
    NameTemplate,
    claim_template,
    parse_template,
    split_path,
)
from gateway.identity.jwks import Fetch, Fetched, RemoteKeys
from gateway.identity.keys import (
    Document,
    FixedKeys,
    IssuerKeys,
    KeySet,
    KeySetError,
    from_document,
    from_pem,
    from_secret,
)
from gateway.identity.peers import Certificates, Networks
from gateway.identity.tokens import compile_tokens
from gateway.identity.verifier import TrustedIssuer, Verifier
from gateway.network.resolver import Resolver
from gateway.network.tls import client_context
from gateway.secret import Secret
from gateway.settings.callers import Issuer
from gateway.settings.schema import Settings
from gateway.settings.wording import shown_path

T = TypeVar("T")
ReadSecret = Callable[[], Awaitable[Secret]]


class _UnusableSetting(Exception):
    """A setting of an issuer that cannot be used. Its `key` is the setting's name alone."""

    def __init__(self, key: str, found: str, expected: str, file: Path | None = None) -> None:
        super().__init__(key)
        self.problem = Problem(shown_path(file) if file else "", key, found, expected)


def build_authenticator(
    settings: Settings,
    secrets: Mapping[str, str | ReadSecret],
    emit: Emit,
) -> tuple[Authenticator, list[Problem]]:
    """The authenticator for these settings, and everything wrong with the files they name.

    `secrets` are the HMAC secrets by issuer, or functions that read them from a store and raise
    `KeySetError`. A problem's `file` is "" if the configuration file itself is wrong.
    """
    builder = _IssuerKeysBuilder(secrets, emit)
    issuers: list[TrustedIssuer] = []
    problems: list[Problem] = []
    for index, issuer in enumerate(settings.issuers):
        rules = _or_problem(problems, index, _rules, issuer)
        keys = _or_problem(problems, index, builder.keys, issuer)
        if rules is not None and keys is not None:
            algorithms = frozenset(issuer.algorithms)
            issuers.append(TrustedIssuer(rules, algorithms, issuer.max_token_bytes, keys))
    methods = AuthenticationMethods(
        placeholders=frozenset(word.encode() for word in settings.listen.placeholder_tokens),
        tokens=compile_tokens(settings.callers),
        verifier=Verifier(issuers, _accepted(settings)),
        certificates=Certificates({n: c.certificates for n, c in settings.callers.items()}),
        networks=Networks({n: c.networks for n, c in settings.callers.items()}),
        own_names=_own_names(settings),
        remote=tuple(i.keys for i in issuers if isinstance(i.keys, RemoteKeys)),
    )
    return Authenticator(methods), problems


# What is wrong with a file of keys, where the log's word for it says too little.
_FOUND: Final = {
    "garbage": "something else",
    "private_key": "a private key, which stays with the issuer",
}


def _own_names(settings: Settings) -> frozenset[bytes]:
    """Invopop's name, in case it is resolved to us, and those that the operator lists."""
    upstream = (urlsplit(settings.upstream.url).hostname or "").removesuffix(".")
    return frozenset(name.lower().encode() for name in (upstream, *settings.listen.host_names))


def _or_problem(
    problems: list[Problem], index: int, make: Callable[[Issuer], T], issuer: Issuer
) -> T | None:
    """What `make` makes of an issuer; if it cannot, None and a problem in the list."""
    try:
        return make(issuer)
    except _UnusableSetting as unusable:
        problem = unusable.problem
        problems.append(problem._replace(key=f"issuers[{index}].{problem.key}"))
        return None


def _accepted(settings: Settings) -> Iterator[tuple[str, str]]:
    """Pairs of each caller with each issuer whose tokens may name it."""
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
        single_audience=issuer.single_audience,
    )


def _template(issuer: Issuer) -> NameTemplate:
    if issuer.caller_template is None:
        return claim_template(issuer.caller_claim)
    try:
        return parse_template(issuer.caller_template)
    except ValueError as error:
        expected = 'claims in braces with text between them, such as "{namespace}/{serviceaccount}"'
        raise _UnusableSetting("caller_template", str(error), expected) from None


class _IssuerKeysBuilder:
    """Makes the keys of an issuer, from whichever source its settings name."""

    def __init__(self, secrets: Mapping[str, str | ReadSecret], emit: Emit) -> None:
        self._secrets = secrets
        self._emit = emit
        self._resolver = Resolver(emit)
        self._contexts: dict[Path | None, ssl.SSLContext] = {}  # reading public CAs takes a while

    def keys(self, issuer: Issuer) -> IssuerKeys:
        if issuer.jwks_file:
            return _from_file("jwks_file", issuer.jwks_file, issuer, from_document)
        if issuer.public_key_file:
            return _from_file("public_key_file", issuer.public_key_file, issuer, from_pem)
        if issuer.secret:
            return self._shared(issuer)
        return self._remote(issuer)

    def _shared(self, issuer: Issuer) -> IssuerKeys:
        secret = self._secrets.get(issuer.issuer)
        if secret is None:
            raise _UnusableSetting("secret", "no value", "an available secret")
        if not isinstance(secret, str):
            return self._kept_fresh(issuer, partial(_read, secret, issuer.algorithms))
        try:
            return FixedKeys(from_secret(secret, issuer.algorithms))
        except KeySetError:
            expected = "32 bytes for HS256, 48 for HS384, 64 for HS512, and no public key"
            raise _UnusableSetting("secret", "an unsafe secret", expected) from None

    def _remote(self, issuer: Issuer) -> IssuerKeys:
        # Here because it needs httpx, whose import would be a sixth of every start.
        from gateway.identity.jwks_client import JwksClient  # noqa: PLC0415

        client = JwksClient(
            issuer.issuer,
            issuer.jwks_url,
            self._tls(issuer),
            issuer.jwks_bearer_file,
            self._resolver,
        )
        try:
            client.authorization()
        except KeySetError:
            file, expected = issuer.jwks_bearer_file, "a file with one token"
            raise _UnusableSetting("jwks_bearer_file", "no token", expected, file) from None
        return self._kept_fresh(issuer, partial(_download, client.fetch, issuer.algorithms))

    def _tls(self, issuer: Issuer) -> ssl.SSLContext:
        """Trust in the issuer's own CA alone, or in the public ones."""
        file = issuer.jwks_ca_file
        try:
            if file not in self._contexts:
                self._contexts[file] = client_context(file, ca_only=file is not None)
        except OSError:
            expected = "CA certificates in PEM"
            raise _UnusableSetting("jwks_ca_file", "no certificate", expected, file) from None
        return self._contexts[file]

    def _kept_fresh(self, issuer: Issuer, fetch: Fetch) -> RemoteKeys:
        return RemoteKeys(issuer, fetch, self._emit, time.monotonic)


async def _download(fetch: Callable[[], Awaitable[Document]], algorithms: Sequence[str]) -> Fetched:
    document = await fetch()
    return Fetched(from_document(document.text, algorithms), document.max_age)


async def _read(secret: ReadSecret, algorithms: Sequence[str]) -> Fetched:
    return Fetched(from_secret((await secret()).reveal(), algorithms))


def _from_file(
    key: str, file: Path, issuer: Issuer, read: Callable[[bytes, Sequence[str]], KeySet]
) -> IssuerKeys:
    expected = "a public key in PEM" if read is from_pem else "a JSON Web Key Set (RFC 7517)"
    expected += f" with a key for {' or '.join(issuer.algorithms)}"
    try:
        return FixedKeys(read(file.read_bytes(), issuer.algorithms))
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror})"
        raise _UnusableSetting(key, found, expected, file) from None
    except KeySetError as error:
        found = _FOUND.get(str(error), str(error).replace("_", " "))
        raise _UnusableSetting(key, found, expected, file) from None

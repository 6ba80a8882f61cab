"""An issuer's set of keys: from a key set document, a PEM file or a shared secret. Pure.

Rule: every key is bound to its algorithm here; if two keys match a token, neither is used.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gateway.identity.jwt import UnfitKey, VerifyingKey, bind, from_jwk, read_document

# More than any issuer publishes; a document full of keys must not hold up the event loop.
_MOST_KEYS: Final = 256

Named = tuple[str | None, VerifyingKey]


class Document(NamedTuple):
    """A key set as an issuer serves it; `max_age`: its seconds, None if the issuer says none."""

    text: bytes
    max_age: float | None


class KeySetError(ValueError):
    """A key set that cannot be used. Its message is for logs: a constant word, and perhaps why."""


class KeySet:
    """The keys that an issuer signs with. Two sets with equal `contents` are the same."""

    __slots__ = ("_by_id", "_sole", "contents")

    def __init__(self, keys: Iterable[Named]) -> None:
        self.contents: Final = frozenset(keys)
        self._by_id: dict[tuple[str | None, str], VerifyingKey | None] = {}
        self._sole: dict[str, Named | None] = {}
        for named in self.contents:
            key_id, key = named
            index = (key_id, key.algorithm)
            self._by_id[index] = None if index in self._by_id else key
            self._sole[key.algorithm] = None if key.algorithm in self._sole else named

    def find(self, key_id: str | None, algorithm: str) -> VerifyingKey | None:
        """The key that a token's `kid` names, bound to `algorithm`; None unless exactly one fits.

        A token without `kid` gets the set's only key for that algorithm; an only key without `kid`
        (a PEM file, a secret) serves tokens with any `kid`.
        """
        if key_id is not None and (key_id, algorithm) in self._by_id:
            return self._by_id[key_id, algorithm]
        sole_id, sole = self._sole.get(algorithm) or (None, None)
        return sole if key_id is None or sole_id is None else None

    def __contains__(self, key_id: object) -> bool:
        """True if a key of the set has that `kid`."""
        return any(named == key_id for named, _ in self.contents)

    def __len__(self) -> int:
        return len(self.contents)


class IssuerKeys(Protocol):
    """An issuer's keys now. `current` is another object if, and only if, the keys changed.

    `tried`: a fetch has ended. `healthy`: the last one succeeded.
    """

    current: KeySet
    tried: bool
    healthy: bool

    def may_fetch(self, key_id: str | None) -> bool:
        """True if a fetch is allowed now that could bring a key which `current` lacks."""
        ...

    async def wait(self, key_id: str | None) -> None:
        """Waits for that fetch for a bounded time, whatever it brings."""
        ...


@dataclass(slots=True)
class FixedKeys:
    """Keys that only a reload changes: there is nothing to fetch."""

    current: KeySet
    tried: bool = True
    healthy: bool = True

    def may_fetch(self, key_id: str | None) -> bool:
        """False: see `IssuerKeys.may_fetch`."""
        del key_id
        return False

    async def wait(self, key_id: str | None) -> None:
        """Returns at once."""


def from_document(document: bytes, algorithms: Sequence[str]) -> KeySet:
    """A JSON Web Key Set. Members of `keys` that we cannot use are ignored (RFC 7517 5).

    Raises `KeySetError` if it is not a key set, holds too many keys, or none that can be used.
    """
    try:
        keys = read_document(document).get("keys")
    except ValueError:
        raise KeySetError("garbage") from None
    if not isinstance(keys, list):
        raise KeySetError("garbage")
    if len(keys) > _MOST_KEYS:
        raise KeySetError("too_many_keys")
    found = (key for key in keys if isinstance(key, dict))
    return _usable(named for key in found for named in _bound(key, algorithms))


def from_pem(pem: bytes, algorithms: Sequence[str]) -> KeySet:
    """A public key or certificate in PEM. Raises `KeySetError`, also for a private key."""
    try:
        if b"-----BEGIN CERTIFICATE-----" in pem:
            key: object = x509.load_pem_x509_certificate(pem).public_key()
        else:
            key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        private = b"PRIVATE KEY-----" in pem
        raise KeySetError("private_key" if private else "garbage") from None
    return _usable(_fitting(key, algorithms))


def from_secret(secret: str, algorithms: Sequence[str]) -> KeySet:
    """A shared secret for HMAC. Raises `KeySetError` if it is shorter than the hash."""
    return _usable(_fitting(secret, algorithms), "weak_secret")


def _bound(jwk: dict[str, Any], algorithms: Sequence[str]) -> Iterable[Named]:
    key_id = jwk.get("kid")
    if key_id is not None and not isinstance(key_id, str):
        return
    for algorithm in algorithms:
        try:
            yield key_id, from_jwk(jwk, algorithm)
        except UnfitKey:
            continue


def _fitting(key: object, algorithms: Sequence[str]) -> Iterable[Named]:
    for algorithm in algorithms:
        try:
            yield None, bind(key, algorithm)
        except UnfitKey:
            continue


def _usable(keys: Iterable[Named], otherwise: str = "no_usable_key") -> KeySet:
    usable = KeySet(keys)
    if not usable:
        raise KeySetError(otherwise)
    return usable

"""Remembers which tokens were verified, by their SHA-256. Pure.

Law: a verdict ends with its token, with any change of its issuer's keys, and with the
authenticator that gave it, which is made anew on reload.
"""

from typing import Final, NamedTuple

from gateway.identity.keys import KeySet, KeySource
from gateway.model import Caller

MOST_VERDICTS: Final = 65536  # about 300 bytes each


class Verdict(NamedTuple):
    """Who showed a token, until when (Unix time) it holds, and the keys that verified it."""

    caller: Caller
    until: float
    keys: KeySet
    source: KeySource


class TokenCache:
    """A bounded map of digests to verdicts; the oldest goes first."""

    def __init__(self, most: int = MOST_VERDICTS) -> None:
        self._most = most
        self._by_digest: dict[bytes, Verdict] = {}

    def find(self, digest: bytes, now: float) -> Caller | None:
        """The caller, if the verdict still holds at `now` (Unix time)."""
        verdict = self._by_digest.get(digest)
        if verdict is None:
            return None
        caller, until, keys, source = verdict
        if now < until and source.current is keys:
            return caller
        del self._by_digest[digest]
        return None

    def keep(self, digest: bytes, verdict: Verdict) -> None:
        """Remembers a verdict just given."""
        if len(self._by_digest) >= self._most:
            del self._by_digest[next(iter(self._by_digest))]
        self._by_digest[digest] = verdict

    def __len__(self) -> int:
        return len(self._by_digest)

"""`token_cache`: how long it is remembered that a token was good."""

from gateway.identity.keys import FixedKeys, KeySet
from gateway.identity.token_cache import TokenCache, Verdict
from gateway.model import Caller

CALLER = Caller("billing", "jwt")


def verdict(source: FixedKeys, until: float = 100.0) -> Verdict:
    """A verdict by the keys that `source` has now."""
    return Verdict(CALLER, until, source.current, source)


def test_ends_with_the_token() -> None:
    """Good until the token ends, not a moment longer, and then forgotten."""
    verdicts = TokenCache()
    verdicts.keep(b"a", verdict(FixedKeys(KeySet(()))))
    assert verdicts.find(b"a", 99.9) is CALLER
    assert verdicts.find(b"a", 100.0) is None
    assert len(verdicts) == 0


def test_ends_with_the_keys() -> None:
    """Any other key set ends the verdict, for good."""
    source = FixedKeys(KeySet(()))
    verdicts = TokenCache()
    verdicts.keep(b"a", verdict(source))
    before, source.current = source.current, KeySet(())
    assert verdicts.find(b"a", 0) is None
    source.current = before
    assert verdicts.find(b"a", 0) is None


def test_bounded() -> None:
    """The oldest verdict makes room for the newest."""
    source = FixedKeys(KeySet(()))
    verdicts = TokenCache(most=2)
    for digest in (b"a", b"b", b"c"):
        verdicts.keep(digest, verdict(source))
    assert len(verdicts) == 2
    assert verdicts.find(b"a", 0) is None
    assert verdicts.find(b"b", 0) is verdicts.find(b"c", 0) is CALLER


def test_unknown() -> None:
    """What was never judged is not remembered."""
    assert TokenCache().find(b"a", 0) is None

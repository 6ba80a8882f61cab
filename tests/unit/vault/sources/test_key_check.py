"""Case 169: what may be sent as a key."""

import pytest

from gateway.secret import Secret
from gateway.vault.sources.key_check import MAX_KEY, check_key, check_secret
from gateway.vault.sources.source import SourceError

CANARY = "sk_live_canary"
BLANK = "holds a space, a tab or a control character"
REFERENCE = "is not a Bearer token (RFC 6750): is it a reference to a key?"


@pytest.mark.parametrize(
    "value",
    [CANARY, "x", "a.b-c_d", "+/~==", "k" * MAX_KEY],
    ids=["plain", "one", "jwt", "base64", "max"],
)
def test_a_bearer_token_is_a_key(value: str) -> None:
    """Whatever RFC 6750 lets stand behind `Bearer`, up to 16,384 characters."""
    check_key(Secret(value))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "is empty"),
        (CANARY + "\n", "holds a line break"),
        (CANARY + "\r", "holds a line break"),
        (f"{CANARY}\r\nHost: evil", "holds a line break"),
        (CANARY + "\0", BLANK),
        (CANARY + "\x7f", BLANK),
        (CANARY + " ", BLANK),
        (" " + CANARY, BLANK),
        (CANARY + "\t", BLANK),
        ("\ufeff" + CANARY, "holds a character outside ASCII"),
        (CANARY + "é", "holds a character outside ASCII"),
        (CANARY + "\u2028", "holds a character outside ASCII"),
        (CANARY + "\udc80", "holds a character outside ASCII"),
        (CANARY * 2000, "is longer than 16384 characters"),
        ("${" + CANARY + "}", REFERENCE),
        ("{{" + CANARY + "}}", REFERENCE),
        ("vault:secret/" + CANARY, REFERENCE),
        ("arn:aws:" + CANARY, REFERENCE),
        ("<" + CANARY + ">", REFERENCE),
        (CANARY + "#key", REFERENCE),
        ("=" + CANARY, REFERENCE),
        ("a=" + CANARY, REFERENCE),
    ],
)
def test_anything_else_is_refused_unquoted(value: str, said: str) -> None:
    """What would change or break the header is refused, and no word of it is repeated."""
    with pytest.raises(SourceError) as caught:
        check_key(Secret(value))
    assert caught.value.reason == f"the key {said}"
    assert CANARY not in repr(caught.value)
    assert caught.value.outcome == "malformed"


def test_other_secrets_may_hold_more() -> None:
    """A password or a shared secret is not a Bearer token; nor may it break a line."""
    check_secret(Secret("!p@ss${word}~"))
    for value in ("", "a b", "a\n", "é", "k" * (MAX_KEY + 1)):
        with pytest.raises(SourceError):
            check_secret(Secret(value))

"""Case 169: what may be sent as a key."""

import pytest

from gateway.secret import Secret
from gateway.vault.key_check import MAX_KEY, check_key
from gateway.vault.sources.source import SourceError

CANARY = "sk_live_canary"


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
        (CANARY + "\n", "line break"),
        (CANARY + "\r", "line break"),
        (f"{CANARY}\r\nHost: evil", "line break"),
        (CANARY + "\0", "control"),
        (CANARY + "\x7f", "control"),
        (CANARY + " ", "space"),
        (" " + CANARY, "space"),
        (CANARY + "\t", "tab"),
        ("\ufeff" + CANARY, "outside ASCII"),
        (CANARY + "é", "outside ASCII"),
        (CANARY + "\u2028", "outside ASCII"),
        (CANARY + "\udc80", "outside ASCII"),
        (CANARY * 2000, "longer than"),
        ("${" + CANARY + "}", "reference"),
        ("{{" + CANARY + "}}", "reference"),
        ("vault:secret/" + CANARY, "reference"),
        ("arn:aws:" + CANARY, "reference"),
        ("<" + CANARY + ">", "reference"),
        (CANARY + "#key", "reference"),
        ("=" + CANARY, "reference"),
        ("a=" + CANARY, "reference"),
    ],
)
def test_anything_else_is_refused_unquoted(value: str, said: str) -> None:
    """What would change or break the header is refused, and no word of it is repeated."""
    with pytest.raises(SourceError) as caught:
        check_key(Secret(value))
    assert said in caught.value.reason
    assert CANARY not in repr(caught.value)
    assert caught.value.outcome == "malformed"

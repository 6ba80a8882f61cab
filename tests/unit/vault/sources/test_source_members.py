"""`member_of`: the key within a document that holds it."""

from typing import Any

import pytest

from gateway.vault.sources.source import MALFORMED, SourceError, member, member_of


def reason(document: Any, field: str | None = None) -> str:
    """Why no member can be had."""
    with pytest.raises(SourceError) as caught:
        member_of(document, field, "the place")
    assert caught.value.outcome == MALFORMED
    return caught.value.reason


def test_a_named_member() -> None:
    """Beside whatever else is there."""
    assert member_of({"a": "key-a", "b": 1}, "a", "the place") == "key-a"


def test_the_only_member_need_not_be_named() -> None:
    """It is no matter what it is called."""
    assert member_of({"anything": "key-a"}, None, "the place") == "key-a"


def test_what_is_wrong_is_said_with_its_place_and_without_its_value() -> None:
    """No document, too many members, the wrong kind, nothing."""
    assert reason(["sk_canary"], "a") == "the place is not a JSON object"
    assert reason({}) == "the place has 0 members: name one with `field`"
    assert reason({"a": "x", "b": "y"}) == "the place has 2 members: name one with `field`"
    assert reason({"a": 7}, "a") == "member 'a' of the place is not a string"
    assert reason({"a": 7}) == "member 'a' of the place is not a string"
    assert reason({"b": "sk_canary"}, "a") == "member 'a' of the place does not exist"


def test_a_member_of_a_text() -> None:
    """Without a name the text itself is the key; with one it must be JSON."""
    assert member('{"a": "key-a"}', None, "the place") == '{"a": "key-a"}'
    assert member('{"a": "key-a"}', "a", "the place") == "key-a"
    for text, said in (
        ("sk_canary", "the place is not JSON, so it has no field"),
        ('["sk_canary"]', "the place is not a JSON object"),
    ):
        with pytest.raises(SourceError) as caught:
            member(text, "a", "the place")
        assert (caught.value.outcome, caught.value.reason) == (MALFORMED, said)

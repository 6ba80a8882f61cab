"""What to do about each failure."""

import re
from pathlib import Path

import pytest

from gateway.admin.advice import ADVICE, BY_KEY_STATE, advice
from gateway.errors import KINDS
from gateway.vault.sources import source

README = (Path(__file__).parents[3] / "README.md").read_text()


@pytest.mark.parametrize("key", KINDS)
def test_the_page_and_the_readme_say_the_same(key: str) -> None:
    """Each error's advice stands in the README's table, word for word but for its backticks."""
    (row,) = re.findall(rf"^\| [\d, ]+ \| `{key}` \| (.*) \|$", README, re.MULTILINE)
    assert ADVICE[key] == row.replace("`", "")


def test_there_is_no_advice_for_what_cannot_happen() -> None:
    """Every error key, and no other."""
    assert ADVICE.keys() == KINDS.keys()


def test_each_way_to_miss_a_key_has_advice() -> None:
    """Whatever a source answers, an operator is told what to do."""
    words = {source.NOT_FOUND, source.DENIED, source.UNAVAILABLE, source.MALFORMED}
    assert words <= BY_KEY_STATE.keys()


@pytest.mark.parametrize(
    ("status", "error", "cause", "told"),
    [
        (401, "unauthenticated", "expired", "the token has expired"),
        (401, "unauthenticated", "header_refused", "show a valid token"),
        (403, "operation_denied", "callers.billing.deny", "not in allow"),
        (503, "key_unavailable", "not_found", "the tenant's key: not at its source"),
        (503, "key_unavailable", "something_new", "the key's source cannot be read"),
        (499, "", "caller_left", "the caller gave up"),
        (503, "", "", "passed on as it came"),
        (200, "", "", ""),
    ],
)
def test_the_cause_says_more_than_the_key(status: int, error: str, cause: str, told: str) -> None:
    """The closest advice there is; Invopop's own errors are told as such."""
    found = advice(status, error, cause)
    assert found.startswith(told)
    assert bool(found) == bool(told)

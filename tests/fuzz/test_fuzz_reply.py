"""The reply parser under mutation: short, where `python -m tests.fuzz reply` is long."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import cuts, mutated
from tests.fuzz.reply import check_reply
from tests.fuzz.seeds import REPLIES


@pytest.mark.parametrize("to_head", [False, True])
@pytest.mark.parametrize("reply", REPLIES)
def test_seed_replies_mean_the_same_to_h11(reply: bytes, to_head: bool) -> None:
    """A known trick is refused, or h11 finds the same in it; byte by byte as in one piece."""
    check_reply(reply, [1] * len(reply), to_head=to_head)


@settings(max_examples=300)
@given(mutated(REPLIES), cuts(), st.booleans())
def test_mutated_replies_mean_the_same_to_h11(data: bytes, sizes: list[int], head: bool) -> None:
    """Nothing is taken for a whole reply, or for a connection fit for reuse, that h11 denies."""
    check_reply(data, sizes, to_head=head)

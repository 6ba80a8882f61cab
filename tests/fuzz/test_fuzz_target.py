"""The target law under mutation: short, where `python -m tests.fuzz target` is long."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import mutated
from tests.fuzz.seeds import TARGETS
from tests.fuzz.target import check


@pytest.mark.parametrize("target", TARGETS)
def test_seed_targets_have_one_reading(target: bytes) -> None:
    """The known tricks are judged as a second reading of the law judges them."""
    check(target)


@settings(max_examples=400)
@given(st.one_of(mutated(TARGETS), st.binary(max_size=40).map(lambda tail: b"/" + tail)))
def test_mutated_targets_have_one_reading(target: bytes) -> None:
    """No target passes that a second reading of the law refuses, nor the other way round."""
    check(target)

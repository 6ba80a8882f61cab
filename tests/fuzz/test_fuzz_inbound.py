"""The inbound protocol under mutation: short, where `python -m tests.fuzz inbound` is long."""

import asyncio

import pytest
from hypothesis import given, settings

from tests.fuzz.inbound import check_connection
from tests.fuzz.mutations import cuts, mutated
from tests.fuzz.seeds import REQUESTS


@pytest.mark.parametrize("data", REQUESTS)
def test_seed_requests_have_one_reading(data: bytes) -> None:
    """Known tricks are read alike byte by byte and in one piece; what is emitted h11 reads too."""
    asyncio.run(check_connection(data, [1] * len(data)))


@settings(max_examples=200)
@given(mutated(REQUESTS), cuts())
def test_mutated_requests_have_one_reading(data: bytes, sizes: list[int]) -> None:
    """However the bytes are changed and cut, each request is one, and each reply is lawful."""
    asyncio.run(check_connection(data, sizes))

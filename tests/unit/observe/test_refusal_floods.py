"""Refusals without a known caller are coalesced, in bounded memory, and none is uncounted."""

import asyncio
from typing import Any

from gateway.model import Exchange
from gateway.observe import refusal_floods
from gateway.observe.refusal_floods import MAX_KINDS, MAX_PEERS, OTHERS, RefusalFloods
from tests.support.exchanges import exchange_of


def refusal(peer: str = "10.0.0.7", cause: str = "no_credential") -> Exchange:
    return exchange_of(0.0, peer=peer, status=401, error="unauthenticated", cause=cause)


def made() -> tuple[RefusalFloods, list[dict[str, Any]]]:
    lines: list[dict[str, Any]] = []
    return RefusalFloods(lines.append), lines


async def test_the_first_is_whole_and_the_rest_are_a_count() -> None:
    """With the peer, the span, and how many of each error; without another refusal, in time."""
    floods, lines = made()
    assert [floods.admits(refusal()) for _ in range(100)] == [True] + [False] * 99
    async with asyncio.timeout(refusal_floods.SECONDS + 5):
        while not lines:
            await asyncio.sleep(0.01)
    (line,) = lines
    assert (line["peer"], line["count"]) == ("10.0.0.7", 99)
    assert line["errors"] == {"unauthenticated": 99}
    assert line["first"] <= line["last"]
    assert floods.admits(refusal())


async def test_other_kinds_and_peers_have_lines_of_their_own() -> None:
    """Up to a bound; so one peer's flood does not hide another peer."""
    floods, lines = made()
    kinds = [floods.admits(refusal(cause=str(n))) for n in range(MAX_KINDS + 3)]
    assert kinds == [True] * MAX_KINDS + [False] * 3
    assert floods.admits(refusal("10.0.0.8"))
    floods.flush()
    assert [(line["peer"], line["count"]) for line in lines] == [("10.0.0.7", 3)]


async def test_peers_without_end_need_bounded_memory() -> None:
    """Those past the bound are one line together."""
    floods, lines = made()
    admitted = sum(floods.admits(refusal(f"10.0.{n // 256}.{n % 256}")) for n in range(10_000))
    assert admitted == MAX_PEERS
    floods.flush()
    (line,) = lines
    assert (line["peer"], line["count"]) == (OTHERS, 10_000 - MAX_PEERS)


async def test_what_went_well_is_never_counted() -> None:
    """Exchanges of no caller that are no refusals keep their lines."""
    floods, _ = made()
    assert all(floods.admits(exchange_of(0.0, status=200)) for _ in range(10))

"""The line for a connection: who joins it, and whose turn is next."""

import asyncio

from gateway.shares import Party, Shares
from gateway.upstream.line import Waiter, WaitingLine

A, B = ("acme", "billing"), ("globex", "booking")


def waiter() -> Waiter:
    return asyncio.get_running_loop().create_future()


def order(line: WaitingLine, shares: Shares, free: int = 100) -> list[Party]:
    """Whose turns they are, until nobody may go on."""
    turns = []
    while (turn := line.next(shares, 0, free)) is not None:
        turns.append(turn.party)
    return turns


async def test_callers_take_turns() -> None:
    """Whoever waits a hundred times waits no less than who waits once."""
    line = WaitingLine(100)
    for party in [A, A, A, A, B]:
        assert line.join(party, waiter())
    assert len(line) == 5
    assert order(line, Shares(4, 7)) == [A, B, A, A, A]
    assert len(line) == 0


async def test_who_holds_least_is_next() -> None:
    """Of those who may go on, though another came first and has not its share yet."""
    line, shares = WaitingLine(100), Shares(4, 7)
    for _ in range(3):
        shares.take(A)
    shares.take(B)
    for party in [A, A, B, B]:
        assert line.join(party, waiter())
    assert order(line, shares) == [B, B, A, A]


async def test_the_tenants_of_a_caller_take_turns() -> None:
    """A caller's turn is the next of its tenants'."""
    line, other = WaitingLine(100), ("initech", "billing")
    for party in [A, A, A, other, B, B, B]:
        assert line.join(party, waiter())
    assert order(line, Shares(4, 7)) == [A, B, other, B, A, B, A]


async def test_requests_of_one_party_keep_their_order() -> None:
    """First come, first served."""
    line, waiters = WaitingLine(100), [waiter() for _ in range(3)]
    for one in waiters:
        assert line.join(A, one)
    line.leave(A, waiters[1])
    turns = [line.next(Shares(4, 7), 0, 1) for _ in range(3)]
    assert [turn.waiter if turn else None for turn in turns] == [waiters[0], waiters[2], None]


async def test_who_has_its_share_is_passed_over() -> None:
    """It keeps its place, and goes on once it holds less."""
    line, shares = WaitingLine(100), Shares(4, 7)
    for _ in range(4):
        shares.take(A)
    assert line.join(A, waiter())
    assert line.join(B, waiter())
    first, second = line.next(shares, 4, 1), line.next(shares, 4, 1)
    assert first is not None
    assert (first.party, second) == (B, None)
    shares.give(A)
    third = line.next(shares, 3, 1)
    assert third is not None
    assert third.party == A


async def test_a_full_line_takes_nobody_else_of_those_who_fill_it() -> None:
    """Alone one may have all places."""
    line = WaitingLine(3)
    assert [line.join(A, waiter()) for _ in range(4)] == [True, True, True, False]
    assert not WaitingLine(0).join(A, waiter())


async def test_who_has_most_in_a_full_line_makes_room() -> None:
    """The last to come of the greedy one is woken, without a turn; never the other's."""
    line, waiters = WaitingLine(3), [waiter() for _ in range(3)]
    for one in waiters:
        assert line.join(A, one)
    assert line.join(B, waiter())
    assert [one.done() for one in waiters] == [False, False, True]
    line.leave(A, waiters[2])
    assert not line.join(A, waiter())
    assert len(line) == 3
    assert order(line, Shares(4, 7)) == [A, B, A]


async def test_so_does_the_greediest_tenant_of_a_caller() -> None:
    """One caller's tenants do not crowd each other out either."""
    line, waiters, other = WaitingLine(3), [waiter() for _ in range(3)], ("initech", "billing")
    for one in waiters:
        assert line.join(A, one)
    assert line.join(other, waiter())
    assert waiters[2].done()
    assert line.join(other, waiter()) is True
    assert line.join(other, waiter()) is False


async def test_a_line_that_all_have_left_holds_nothing() -> None:
    """Neither callers nor tenants are remembered."""
    line, one, two = WaitingLine(10), waiter(), waiter()
    assert line.join(A, one)
    assert line.join(B, two)
    line.leave(A, one)
    line.leave(B, two)
    assert (len(line), line._callers, line._by_caller) == (0, {}, {})

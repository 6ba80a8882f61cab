"""Bytes leave together where many requests are in flight, and at once where few are."""

import asyncio

import pytest

from gateway import flush_queue
from gateway.flush_queue import FlushQueue


class Sender:
    """Notes when it is flushed; may fail, or do something else first."""

    def __init__(self, name: str, sent: list[str]) -> None:
        self.name = name
        self.sent = sent
        self.again: FlushQueue | None = None
        self.failure: Exception | None = None

    def flush(self) -> None:
        self.sent.append(self.name)
        if self.again is not None:
            queue, self.again = self.again, None
            assert queue.add(self)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def sent() -> list[str]:
    return []


async def turn() -> None:
    """Returns in the next turn of the loop, behind what was scheduled for it."""
    await asyncio.sleep(0)


async def test_few_requests_send_at_once(sent: list[str]) -> None:
    """Nobody waits for a turn in which there is nothing else to send."""
    queue = FlushQueue(lambda: flush_queue.FEW)
    assert not queue.add(Sender("a", sent))
    await turn()
    assert sent == []


async def test_many_requests_send_together_at_the_end_of_the_turn(sent: list[str]) -> None:
    """In the order in which they were added, once each turn."""
    queue = FlushQueue(lambda: flush_queue.FEW + 1)
    assert queue.add(Sender("a", sent))
    assert queue.add(Sender("b", sent))
    assert sent == []
    await turn()
    assert sent == ["a", "b"]
    await turn()
    assert sent == ["a", "b"]
    assert queue.add(Sender("c", sent))
    await turn()
    assert sent == ["a", "b", "c"]


async def test_what_is_added_during_a_flush_waits_for_the_next(sent: list[str]) -> None:
    """So a flush ends."""
    queue = FlushQueue(lambda: flush_queue.FEW + 1)
    again = Sender("a", sent)
    again.again = queue
    queue.add(again)
    queue.add(Sender("b", sent))
    await turn()
    assert sent == ["a", "b"]
    await turn()
    assert sent == ["a", "b", "a"]


async def test_a_failure_holds_nobody_else_up(sent: list[str]) -> None:
    """Those behind it, and what was added meanwhile, are sent in the next turn."""
    failures: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    queue = FlushQueue(lambda: flush_queue.FEW + 1)
    broken, last = Sender("broken", sent), Sender("last", sent)
    broken.again, broken.failure = queue, ValueError()
    for sender in (broken, last):
        queue.add(sender)
    await turn()
    assert [failure["exception"] for failure in failures] == [broken.failure]
    broken.failure = None
    await turn()
    await turn()
    assert sent == ["broken", "last", "broken"]

"""`events`: who hears of what, in which order, and when."""

import asyncio

from gateway.events import BatchingEvents, Event, Events, ExchangeEnded, KeyEchoed, UpstreamRetried
from gateway.model import Exchange


def ended(request_id: str) -> ExchangeEnded:
    """An exchange that has ended."""
    return ExchangeEnded(Exchange(0.0, request_id))


def test_each_hears_of_its_kind_alone_in_the_order_of_subscription() -> None:
    """At once, and exactly once."""
    events = Events()
    told: list[tuple[str, Event]] = []
    for name in ("one", "two"):
        events.subscribe(KeyEchoed, lambda event, name=name: told.append((name, event)))  # type: ignore[misc]
    events.emit(UpstreamRetried("stale"))
    events.emit(KeyEchoed("acme"))
    assert told == [("one", KeyEchoed("acme")), ("two", KeyEchoed("acme"))]


async def test_what_ended_in_one_turn_is_told_when_it_is_over() -> None:
    """All of it to one observer, then to the next; nothing twice, in the next turn nothing old."""
    events = Events()
    later = BatchingEvents(events)
    told: list[tuple[str, str]] = []
    for name in ("one", "two"):
        later.subscribe(
            ExchangeEnded,
            lambda event, name=name: told.append((name, event.exchange.request_id)),  # type: ignore[misc]
        )
    events.emit(ended("a"))
    events.emit(ended("b"))
    assert not told
    await asyncio.sleep(0)
    assert told == [("one", "a"), ("one", "b"), ("two", "a"), ("two", "b")]
    events.emit(ended("c"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert told[4:] == [("one", "c"), ("two", "c")]


async def test_all_else_is_told_at_once() -> None:
    """Also by way of it; and who subscribes to the events themselves need not wait."""
    events = Events()
    later = BatchingEvents(events)
    told: list[Event] = []
    later.subscribe(KeyEchoed, told.append)
    events.subscribe(ExchangeEnded, told.append)
    events.emit(KeyEchoed("acme"))
    events.emit(ended("a"))
    assert [type(event) for event in told] == [KeyEchoed, ExchangeEnded]


async def test_what_ends_while_it_tells_is_told_in_the_next_turn() -> None:
    """No observer can keep it from ending."""
    events = Events()
    later = BatchingEvents(events)
    told: list[str] = []

    def observe(event: ExchangeEnded) -> None:
        told.append(event.exchange.request_id)
        if len(told) == 1:
            events.emit(ended("b"))

    later.subscribe(ExchangeEnded, observe)
    events.emit(ended("a"))
    await asyncio.sleep(0)
    assert told == ["a"]
    await asyncio.sleep(0)
    assert told == ["a", "b"]

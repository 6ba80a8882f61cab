"""Single flight: joined while it is under way, outliving those who wait, ended with the vault."""

import asyncio

from gateway.vault.background import SingleFlight, wait_until


class Work:
    """A flight that ends when it is told to, and tells how it ended."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended: list[str] = []
        self.go = asyncio.Event()

    async def __call__(self) -> None:
        self.begun += 1
        try:
            await self.go.wait()
            self.ended.append("well")
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # as a connection that is closed takes its time
            self.ended.append("cancelled")
            raise


async def test_whoever_wants_the_same_joins() -> None:
    """It is done once; when it is over the next who wants it begins anew."""
    flights, work = SingleFlight[None](), Work()
    first = flights.join("name", work)
    assert flights.join("name", work) is flights.underway("name") is first
    assert flights.underway("other") is None
    work.go.set()
    await first
    assert flights.underway("name") is None
    await flights.join("name", work)
    assert work.begun == 2


async def test_one_that_has_just_ended_is_not_joined() -> None:
    """Also within the turn of the event loop in which it ends: what it found may be too old."""
    flights, joined = SingleFlight[None](), list[asyncio.Task[None]]()
    work = Work()
    work.go.set()

    async def ending() -> None:
        # Runs once this has ended, but before anybody is told.
        asyncio.get_running_loop().call_soon(lambda: joined.append(flights.join("name", work)))

    first = flights.join("name", ending)
    await first
    assert joined[0] is not first
    assert flights.underway("name") is joined[0]
    await joined[0]
    assert (work.begun, flights.underway("name")) == (1, None)


async def test_a_flight_goes_on_when_those_who_wait_leave() -> None:
    """Nobody waits past the deadline, and nobody's leaving ends it."""
    flights, work, loop = SingleFlight[None](), Work(), asyncio.get_running_loop()
    flight = flights.join("name", work)
    await wait_until(flight, loop.time() + 0.01)
    await wait_until(flight, loop.time() - 1.0)
    await wait_until(None, loop.time() + 60.0)
    assert not flight.done()
    work.go.set()
    await wait_until(flight, loop.time() + 60.0)
    assert work.ended == ["well"]


async def test_closing_waits_until_all_have_ended() -> None:
    """Nothing is under way any more when `aclose` returns, and it raises nothing."""
    flights, work = SingleFlight[None](), [Work(), Work()]
    for number, one in enumerate(work):
        flights.join(number, one)
    await asyncio.sleep(0)  # they have begun
    await flights.aclose()
    assert [one.ended for one in work] == [["cancelled"], ["cancelled"]]

"""Scrapes are shared by all who wait, and leave most of the time to requests."""

import asyncio
import sys
import threading
import time
from contextlib import nullcontext

import pytest

from gateway.admin.scrape import MOST_BODIES, Scrapes, TooManyBodiesError


class Exposition:
    """Counts renderings; none ends before `go`."""

    def __init__(self) -> None:
        self.formats: list[str] = []
        self.go = threading.Event()

    def __call__(self, accept: str) -> tuple[bytes, str]:
        """One rendering, numbered."""
        self.formats.append(accept)
        self.go.wait(10)
        return b"%d" % len(self.formats), "text/plain"

    async def begun(self, count: int) -> None:
        """Returns once so many renderings have begun."""
        async with asyncio.timeout(10):
            while len(self.formats) < count:
                await asyncio.sleep(0.001)


async def test_who_comes_while_one_is_rendered_shares_the_next() -> None:
    """Figures are never older than the scrape, and 50 scrapers cost one rendering more."""
    exposition = Exposition()
    scrapes = Scrapes(exposition)
    first = asyncio.ensure_future(scrapes.scrape(""))
    await exposition.begun(1)
    others = [asyncio.ensure_future(scrapes.scrape("*/*")) for _ in range(50)]
    await asyncio.sleep(0)
    exposition.go.set()
    assert (await first).body == b"1"
    assert {rendered.body for rendered in await asyncio.gather(*others)} == {b"2"}
    assert len(exposition.formats) == 2


async def test_a_scraper_that_leaves_takes_nothing_from_others() -> None:
    """Cancelling one wait leaves the rendering to the rest."""
    exposition = Exposition()
    scrapes = Scrapes(exposition)
    leaving, staying = (asyncio.ensure_future(scrapes.scrape("")) for _ in range(2))
    await exposition.begun(1)
    leaving.cancel()
    exposition.go.set()
    assert (await staying).body == b"1"


@pytest.mark.parametrize("fails", [False, True])
async def test_a_rendering_lets_requests_go_on_soon(fails: bool) -> None:
    """Its thread gives way within a millisecond; afterwards all is as before."""
    usual, within = sys.getswitchinterval(), list[float]()

    def exposition(_: str) -> tuple[bytes, str]:
        within.append(sys.getswitchinterval())
        if fails:
            raise ValueError
        return b"", "text/plain"

    with pytest.raises(ValueError) if fails else nullcontext():
        await Scrapes(exposition).scrape("")
    assert [interval < 0.001 < usual for interval in within] == [True]
    assert sys.getswitchinterval() == usual


async def test_a_failure_is_not_kept() -> None:
    """Whoever waited gets it; the next scrape is rendered anew."""
    calls = 0

    def failing(_: str) -> tuple[bytes, str]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ValueError("once")
        return b"well", "text/plain"

    scrapes = Scrapes(failing)
    with pytest.raises(ValueError, match="once"):
        await scrapes.scrape("")
    assert (await scrapes.scrape("")).body == b"well"


@pytest.mark.parametrize(("mib", "pause"), [(0.125, 0.125), (1, 1), (50, 3)])
async def test_the_longer_a_body_the_longer_the_pause(
    monkeypatch: pytest.MonkeyPatch, mib: float, pause: float
) -> None:
    """A second for each MiB, at most three, from the start of one rendering to the next's."""
    slept: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    scrapes = Scrapes(lambda _: (bytes(int(mib * 2**20)), "text/plain"))
    await scrapes.scrape("")
    await scrapes.scrape("")
    assert slept[1] == pytest.approx(pause)


async def test_bodies_that_are_still_read_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scrapers that read slowly hold a few renderings at most; the next is refused meanwhile."""
    monkeypatch.setattr("gateway.admin.scrape.LONGEST_PAUSE", 0.0)
    scrapes = Scrapes(lambda _: (b"body", "text/plain"))
    held = [await scrapes.scrape("") for _ in range(MOST_BODIES)]
    with pytest.raises(TooManyBodiesError):
        await scrapes.scrape("")
    held.pop()
    assert (await scrapes.scrape("")).body == b"body"

"""Invopop's name: several addresses, some of them bad, and addresses that change."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.bench.resilience.client import Caller, request
from tests.bench.resilience.origin import LoadOrigin
from tests.bench.resilience.topology import Instance, fields_for, key_of, settings_for
from tests.support.certificates import Authority, server_context
from tests.support.world import merged

NAME = "origin.test"
ONE, OTHER, MUTE = "127.0.0.1", "127.0.0.2", "127.0.0.3"


class Place:
    """A gateway whose upstream is a name, and the addresses that the name has."""

    def __init__(self, directory: Path, origin: LoadOrigin, instance: Instance) -> None:
        self._hosts = directory / "hosts.json"
        self.origin = origin
        self.instance = instance
        self.caller = Caller(lambda: ("127.0.0.1", instance.process.port))

    def name(self, *addresses: str) -> None:
        """From now on the name has these addresses."""
        written = self._hosts.with_suffix(".new")
        written.write_text(json.dumps({NAME: addresses}))
        written.replace(self._hosts)

    async def get(self) -> bytes | None:
        """One request, which goes well; what its reply says of attempts."""
        reply = await self.caller.ask(request("GET", "/x", fields_for("acme", "1")))
        assert reply.status == 200, reply
        return reply.headers.get(b"x-gateway-attempts")


@asynccontextmanager
async def with_file(directory: Path, *addresses: str, max_age: float = 300) -> AsyncIterator[Place]:
    """Everything, with an origin on the first address."""
    authority = Authority(directory)
    context = server_context(authority.certificate(NAME))
    origin = LoadOrigin(context, {key_of("acme"): "acme"}, ONE)
    await origin.open()
    url = {"upstream": {"url": f"https://{NAME}:{origin.port}"}}
    settings = merged(settings_for(origin.port, authority.ca_file), url)
    instance = Instance(directory / "gateway", settings)
    place = Place(directory, origin, instance)
    place.name(*addresses)
    hosts = str(directory / "hosts.json")
    instance.process.program = ("-m", "tests.support.resolver_gateway", hosts, str(max_age))
    await instance.start()
    try:
        yield place
    finally:
        place.caller.leave()
        await instance.kill()
        await origin.aclose()


async def test_an_address_that_refuses_is_skipped(tmp_path: Path) -> None:
    """At once, within the same attempt."""
    async with with_file(tmp_path, OTHER, ONE) as place:
        began = time.monotonic()
        assert await place.get() is None
        assert time.monotonic() - began < 3


async def test_an_address_that_is_silent_is_overtaken(tmp_path: Path) -> None:
    """The next one is tried beside it long before the connect timeout (RFC 8305)."""
    async with with_file(tmp_path, MUTE, ONE) as place:
        with socket.socket() as hole:
            hole.bind((MUTE, place.origin.port))
            hole.listen(0)
            fillers = [socket.socket() for _ in range(4)]  # a full backlog: SYNs are dropped
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex((MUTE, place.origin.port))
            began = time.monotonic()
            assert await place.get() is None
            assert 0.2 < time.monotonic() - began < 3
            for filler in fillers:
                filler.close()


async def test_a_name_that_moves_is_followed(tmp_path: Path) -> None:
    """Case 117: kept connections retire at their age, new ones go there: nobody notices."""
    async with with_file(tmp_path, ONE, max_age=0.5) as place:
        here = place.origin
        there = LoadOrigin(here._context, here.tenants, OTHER)
        there.port = here.port
        await there.open()
        await place.get()
        place.name(OTHER)
        deadline = time.monotonic() + 5
        while not there.accepted["1"]:
            assert time.monotonic() < deadline
            assert await place.get() is None
            await asyncio.sleep(0.02)
        before = here.accepted["1"]
        for _ in range(20):
            await place.get()
        assert here.accepted["1"] == before
        await there.aclose()

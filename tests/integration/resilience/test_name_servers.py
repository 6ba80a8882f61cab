"""Name servers that are slow, silent or away: requests whose names are known do not feel it."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.bench.resilience.client import Caller, request
from tests.bench.resilience.origin import LoadOrigin
from tests.bench.resilience.topology import TENANTS, Instance, fields_for, key_of, settings_for
from tests.support.certificates import Authority, server_context
from tests.support.gateway import eventually
from tests.support.jwt import Issuer
from tests.support.world import AUDIENCE, merged

NAME = "origin.test"
HANGS = {"after": 40, "addresses": []}  # as glibc does with three servers and search domains


class Place:
    """A gateway whose upstream is a name, and what its name server knows."""

    def __init__(self, directory: Path, origin: LoadOrigin, instance: Instance) -> None:
        self._hosts = directory / "hosts.json"
        self.instance = instance
        self.origin = origin

    def name(self, **names: Any) -> None:
        """From now on these names, `_` for a dot, resolve so."""
        known = {name.replace("_", "."): found for name, found in names.items()}
        written = self._hosts.with_suffix(".new")
        written.write_text(json.dumps(known))
        written.replace(self._hosts)

    def asked(self, name: str) -> int:
        """How many look-ups of a name have begun."""
        log = self._hosts.with_suffix(".asked")
        return log.read_text().split().count(name) if log.exists() else 0

    async def get(self, **fields: str) -> int:
        """The status of one request on a connection of its own."""
        caller = Caller(lambda: ("127.0.0.1", self.instance.process.port))
        try:
            sent = request("GET", "/x", fields_for("acme", "1") | fields)
            return (await caller.ask(sent)).status
        finally:
            caller.leave()


@asynccontextmanager
async def placed(directory: Path, *, host: str = NAME, **settings: Any) -> AsyncIterator[Place]:
    """Everything, not yet started: first the name server is told what to know."""
    authority = Authority(directory)
    context = server_context(authority.certificate(NAME))
    origin = LoadOrigin(context, {key_of("acme"): "acme"}, "127.0.0.1")
    await origin.open()
    url = {"upstream": {"url": f"https://{host}:{origin.port}", "connect_timeout": 5.0}}
    quick = {"listen": {"drain_delay": 0.0}}
    written = merged(merged(settings_for(origin.port, authority.ca_file), url), quick)
    instance = Instance(directory / "gateway", merged(written, settings))
    hosts = str(directory / "hosts.json")
    instance.process.program = ("-m", "tests.support.resolver_gateway", hosts, "300")
    try:
        yield Place(directory, origin, instance)
    finally:
        await instance.kill()
        await origin.aclose()


async def test_a_slow_name_server_is_asked_once_for_all(tmp_path: Path) -> None:
    """100 callers on a cold pool, each look-up half a second: one is made, and all are served."""
    async with placed(tmp_path) as place:
        place.name(origin_test={"after": 0.5, "addresses": ["127.0.0.1"]})
        await place.instance.start()
        assert set(await asyncio.gather(*(place.get() for _ in range(100)))) == {200}
        assert place.asked(NAME) <= 3  # more only where an answer has grown old meanwhile


async def test_with_a_kept_answer_a_name_server_that_goes_away_is_not_felt(tmp_path: Path) -> None:
    """New connections go to the old address; each attempt to resolve it fails beside them."""
    async with placed(tmp_path) as place:
        place.name(origin_test=["127.0.0.1"])
        await place.instance.start()
        assert await place.get() == 200
        place.name(origin_test=[])
        place.origin.hang_up()
        for _ in range(3):
            await asyncio.sleep(0.3)
            assert await place.get() == 200
            place.origin.hang_up()
        assert place.asked(NAME) > 1


def issuers(tmp_path: Path) -> dict[str, Any]:
    """Two issuers whose names hang, and callers who believe in them."""
    named = [
        {
            "issuer": f"https://idp{number}.test",
            "audience": AUDIENCE,
            "algorithms": ["RS256"],
            "jwks_url": f"https://idp{number}.test/jwks",
        }
        for number in (1, 2)
    ]
    return {
        "issuers": named,
        "callers": {name: {"issuers": ["https://idp1.test"]} for name in TENANTS},
    }


@pytest.mark.parametrize("final", ["", "."])
async def test_issuers_whose_names_hang_take_nothing_from_others(
    tmp_path: Path, final: str
) -> None:
    """Opaque tokens work, while strangers' tokens with fresh key ids ask for the issuers' keys."""
    async with placed(tmp_path, host=NAME + final, **issuers(tmp_path)) as place:
        place.name(
            **{f"origin_test{'_' if final else ''}": ["127.0.0.1"]},
            idp1_test=HANGS,
            idp2_test=HANGS,
        )
        await place.instance.start()
        await asyncio.to_thread(eventually, lambda: place.asked("idp1.test"))
        stranger = Issuer(tmp_path, "https://idp1.test", AUDIENCE)
        shown = [
            stranger.token(stranger.claims("acme"), headers={"kid": f"fresh-{number}"})
            for number in range(40)
        ]
        refused = [
            asyncio.ensure_future(place.get(Authorization=f"Bearer {token}")) for token in shown
        ]
        assert [await place.get() for _ in range(10)] == [200] * 10
        assert set(await asyncio.gather(*refused)) == {401}
        assert place.asked("idp1.test") + place.asked("idp2.test") <= 4
        began = time.monotonic()
        assert await place.instance.stop() == 0
        assert time.monotonic() - began < 10


async def test_no_end_waits_for_a_name_server(tmp_path: Path) -> None:
    """A request waits for Invopop's name: a second SIGTERM ends it at once, with 1."""
    async with placed(tmp_path, upstream={"connect_timeout": 30.0}) as place:
        place.name(origin_test=HANGS)
        await place.instance.start()
        waiting = asyncio.ensure_future(place.get())
        await asyncio.to_thread(eventually, lambda: place.asked(NAME))
        process = place.instance.process
        process.signal(signal.SIGTERM)
        await asyncio.to_thread(eventually, lambda: process.admin("/readyz")[0] == 503)
        process.signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 10) == 1
        waiting.cancel()

"""Who a connection's peer is, as the kernel and TLS verified it."""

import os
from contextlib import AsyncExitStack
from math import inf
from pathlib import Path

from gateway.model import Peer
from tests.support.async_caller import Wire
from tests.unit.server.opened import GET, Authority, opened


async def test_an_ipv4_peer_of_a_dual_stack_socket_is_ipv4(stack: AsyncExitStack) -> None:
    """Or networks in the configuration would not match it."""
    served = await opened(stack, host="::")
    async with await Wire.connect(("127.0.0.1", served.address[1])) as wire:
        await wire.exchange(GET)
    assert served.peer == Peer("127.0.0.1")


async def test_the_peer_of_a_unix_socket_is_its_uid(stack: AsyncExitStack, tmp_path: Path) -> None:
    """As the kernel tells it; there is no address."""
    path = str(tmp_path / "s")
    served = await opened(stack, socket=path)
    async with await Wire.connect(path) as wire:
        await wire.exchange(GET)
    assert served.peer == Peer("", uid=os.getuid())
    assert served.app.scopes[-1]["client"] is None


async def test_the_peer_with_a_certificate(stack: AsyncExitStack, tmp_path: Path) -> None:
    """Its names are known; without one they are None, which is not the same as no names."""
    authority = Authority(tmp_path)
    served = await opened(stack, **authority.listen)
    for names, peer in (
        ((), Peer("127.0.0.1")),
        (("a.test", "b.test"), Peer("127.0.0.1", uris=(), dns_names=("a.test", "b.test"))),
    ):
        async with await Wire.connect(served.address, tls=authority.client(*names)) as wire:
            await wire.exchange(GET)
        assert served.peer._replace(until=inf) == peer
        assert (served.peer.until < inf) == bool(names)
        assert served.app.scopes[-1]["scheme"] == "https"

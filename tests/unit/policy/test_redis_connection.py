"""Connections to Redis: names by the resolver, and over TLS the host's name is always verified."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.exceptions
import trustme
from redis.asyncio import Redis

from gateway.network.resolver import Resolver
from gateway.policy.redis_connection import new_pool
from tests.support.certificates import Certificates

OPTIONS: dict[str, Any] = {"max_connections": 1, "timeout": 5, "socket_connect_timeout": 5}


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """A server over TLS that says yes to everything; its certificate is `redis.test`'s."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = Certificates.serving(authority.issue_cert("redis.test"))
    names: list[str | None] = []
    context.sni_callback = lambda _, name, __: names.append(name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(b"+OK\r\n" * data.count(b"*"))
        writer.close()

    made = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield made.sockets[0].getsockname()[1], names
    made.close()


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name leads to this machine."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


@pytest.mark.parametrize("host", ["redis.test", "redis.test."])
async def test_the_right_name(server: Any, host: str) -> None:
    """A final dot is for the resolver only."""
    port, names = server
    pool: Any = new_pool(f"rediss://{host}:{port}/0", Resolver(), **OPTIONS)
    await Redis(connection_pool=pool).ping()
    assert names == ["redis.test"]
    await pool.aclose()


async def test_another_name(server: Any) -> None:
    """Whatever the version of the library: its own default was not to look."""
    port, _ = server
    pool: Any = new_pool(f"rediss://other.test:{port}/0", Resolver(), **OPTIONS)
    with pytest.raises(redis.exceptions.ConnectionError):
        await Redis(connection_pool=pool).ping()
    await pool.aclose()


async def test_an_unknown_authority(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for every TLS connection that goes out."""
    monkeypatch.delenv("SSL_CERT_FILE")
    port, _ = server
    pool: Any = new_pool(f"rediss://redis.test:{port}/0", Resolver(), **OPTIONS)
    with pytest.raises(redis.exceptions.ConnectionError):
        await Redis(connection_pool=pool).ping()
    await pool.aclose()


def test_a_url_is_taken_apart() -> None:
    """Host, port (6379 if none is given), database, and whether it is TLS."""
    for url, host, port, database, tls in (
        ("redis://redis.test", "redis.test", 6379, 0, False),
        ("redis://redis.test:1/7", "redis.test", 1, 7, False),
        ("rediss://[::1]:1/", "::1", 1, 0, True),
    ):
        options = new_pool(url, Resolver(), **OPTIONS).connection_kwargs
        assert (options["host"], options["port"], options["db"]) == (host, port, database)
        assert isinstance(options["tls"], ssl.SSLContext) is tls

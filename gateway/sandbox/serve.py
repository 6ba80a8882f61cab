"""The sandbox behind real TLS, within the running event loop: nothing answers plain HTTP."""

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import uvicorn

from gateway.sandbox.certificates import Authority, write_private
from gateway.sandbox.sandbox import Sandbox


class RunningSandbox(NamedTuple):
    """A sandbox that answers at `url`, an https origin; `authority.pem` is what to trust."""

    url: str
    port: int
    authority: Authority
    sandbox: Sandbox

    @property
    def ca_pem(self) -> bytes:
        """The certificate of the authority to trust, PEM."""
        return self.authority.pem

    def write_samples(self, directory: Path) -> dict[str, Path]:
        """Writes `ca.pem` and a fresh key of each workspace, such as `acme.key`, mode 0600.

        Makes the directory; returns the paths by file name. Raises OSError.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths = {"ca.pem": self.authority.write(directory)}
        for slug in self.sandbox.workspaces:
            path = paths[f"{slug}.key"] = directory / f"{slug}.key"
            write_private(path, self.sandbox.mint_key(slug).encode() + b"\n")
        return paths


class _Server(uvicorn.Server):
    """A guest in someone else's loop: leaves signals alone, and tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cuts what is open: a client that keeps idle connections would hold up the whole loop."""
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await super().shutdown(sockets)


@contextlib.asynccontextmanager
async def running(
    sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[RunningSandbox]:
    """Serves a sandbox until the block is left; port 0 is any free one. Raises OSError.

    Its certificate holds for localhost, 127.0.0.1 and ::1.
    """
    authority = Authority()
    with _bound(host, port) as listener:
        server = _Server(_config(sandbox, authority))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        listening = asyncio.create_task(server.listening.wait())
        try:
            await asyncio.wait((serving, listening), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                await serving
            real = listener.getsockname()[1]
            name = f"[{host}]" if ":" in host else host
            yield RunningSandbox(f"https://{name}:{real}", real, authority, sandbox)
        finally:
            listening.cancel()
            server.should_exit = True
            await serving


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens nowhere else; asyncio makes it listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _config(sandbox: Sandbox, authority: Authority) -> uvicorn.Config:
    """uvicorn's settings: quiet, no signals, TLS. The key is on disk only while it is loaded."""
    issued = authority.issue()
    with tempfile.TemporaryDirectory() as directory:
        certificate, key = Path(directory, "tls.pem"), Path(directory, "tls.key")
        write_private(certificate, issued.certificate)
        write_private(key, issued.key)
        config = uvicorn.Config(
            sandbox.app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            ssl_certfile=str(certificate),
            ssl_keyfile=str(key),
        )
        config.load()
    return config

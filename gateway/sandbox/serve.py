"""The sandbox behind real TLS, within the running event loop: nothing answers plain HTTP."""

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import orjson
import uvicorn
from starlette.types import ASGIApp

from gateway.sandbox.certificates import LOOPBACK, CertificateAuthority, Issued, write_private
from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.state import FileOrigins
from gateway.sandbox.webhooks import Receiver, Webhooks


class FileHosts(NamedTuple):
    """The names that lead to files, such as silo.invopop.com, and the port that serves them all."""

    downloads: str = "localhost"
    uploads: str = "localhost"
    port: int = 0


LOCAL_FILES: Final = FileHosts()


class RunningSandbox(NamedTuple):
    """A sandbox that answers at `url`, an https origin; `authority.pem` is what to trust."""

    url: str
    port: int
    authority: CertificateAuthority
    sandbox: Sandbox

    @property
    def ca_pem(self) -> bytes:
        """The certificate of the authority to trust, PEM."""
        return self.authority.pem

    def write_samples(self, directory: Path) -> dict[str, Path]:
        """Writes `ca.pem`, a fresh key of each workspace, such as `acme.key`, and what the
        application shows for its tokens, `application.json`; each mode 0600.

        Makes the directory; returns the paths by file name. Raises OSError.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths = {"ca.pem": self.authority.write(directory)}
        for slug in self.sandbox.workspaces:
            path = paths[f"{slug}.key"] = directory / f"{slug}.key"
            write_private(path, self.sandbox.mint_key(slug).encode() + b"\n")
        application = self.sandbox.application
        shown = {"client_id": application.client_id, "client_secret": application.client_secret}
        path = paths["application.json"] = directory / "application.json"
        write_private(path, orjson.dumps(shown, option=orjson.OPT_INDENT_2) + b"\n")
        return paths


class _Server(uvicorn.Server):
    """A server in somebody else's loop: leaves signals alone; an event says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Asks it to end; `serve` then returns."""
        self._stopping.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        """Each second a tick, which renews the date; uvicorn's own looks for the end each 0.1 s."""
        while not self._stopping.is_set():
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1.0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cuts what is open: a client that keeps idle connections would hold up the whole loop."""
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await super().shutdown(sockets)


class _Listening(NamedTuple):
    server: _Server
    port: int


@contextlib.asynccontextmanager
async def running(
    sandbox: Sandbox,
    host: str = "127.0.0.1",
    port: int = 0,
    files: FileHosts = LOCAL_FILES,
    webhook: Receiver | None = None,
) -> AsyncIterator[RunningSandbox]:
    """Serves a sandbox, and its files on a port of their own, until the block is left.

    Port 0 is any free one. Its certificate holds for localhost, 127.0.0.1 and ::1; the one for
    files also for the names of `files`. Finished jobs send a webhook if there is a receiver.
    Raises OSError.
    """
    authority = CertificateAuthority()
    names = tuple(dict.fromkeys((*LOOPBACK, files.downloads, files.uploads)))
    async with contextlib.AsyncExitStack() as stack:
        of_files = await stack.enter_async_context(
            _listening(sandbox.file_host, authority.issue(names), host, files.port)
        )
        api = await stack.enter_async_context(
            _listening(sandbox.app, authority.issue(), host, port)
        )
        stack.callback(of_files.server.stop)  # both end at once, not one after the other
        sandbox.files = FileOrigins(
            _origin(files.downloads, of_files.port), _origin(files.uploads, of_files.port)
        )
        if webhook is not None:
            await stack.enter_async_context(_delivering(sandbox, webhook))
        yield RunningSandbox(_origin(host, api.port), api.port, authority, sandbox)


def _origin(host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"https://{name}" if port == 443 else f"https://{name}:{port}"


@contextlib.asynccontextmanager
async def _listening(
    app: ASGIApp, issued: Issued, host: str, port: int
) -> AsyncIterator[_Listening]:
    """Serves an app over TLS until the block is left."""
    with _bound(host, port) as listener:
        server = _Server(_config(app, issued))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        listening = asyncio.create_task(server.listening.wait())
        try:
            await asyncio.wait((serving, listening), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                await serving
            yield _Listening(server, listener.getsockname()[1])
        finally:
            listening.cancel()
            server.stop()
            await serving


@contextlib.asynccontextmanager
async def _delivering(sandbox: Sandbox, receiver: Receiver) -> AsyncIterator[None]:
    webhooks = Webhooks(receiver)
    sandbox.deliver = webhooks.deliver
    task = asyncio.create_task(webhooks.run())
    try:
        yield
    finally:
        sandbox.deliver = None
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


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


def _config(app: ASGIApp, issued: Issued) -> uvicorn.Config:
    """uvicorn's settings: quiet, no signals, TLS. The key is on disk only while it is loaded."""
    with tempfile.TemporaryDirectory() as directory:
        certificate, key = Path(directory, "tls.pem"), Path(directory, "tls.key")
        write_private(certificate, issued.certificate)
        write_private(key, issued.key)
        config = uvicorn.Config(
            app,
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

"""A listener as settings describe it, with real sockets and TLS, and callers that trust it."""

import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import trustme

from gateway.events import Event
from gateway.model import Peer
from gateway.server.listener import ConnectionLimits, Listener
from gateway.server.listener_server import ListenerServer
from gateway.server.sockets import open_callers
from gateway.settings.schema import Settings
from tests.unit.server.conftest import Recorder

GET = b"GET /x HTTP/1.1\r\nHost: gw\r\n\r\n"


class Opened:
    """A listener as settings describe it."""

    def __init__(self, app: Recorder, header_timeout: float = 0.2, /, **listen: object) -> None:
        self.events: list[Event] = []
        self.app = app
        sockets = open_callers(Settings.model_validate({"listen": {"port": 0} | listen}).listen)
        self.address = sockets.bound[0].getsockname()[:2]
        limits = ConnectionLimits(header_timeout=header_timeout, max_connections=3)
        self.listener = Listener(app, limits, lambda: "id", self.events.append)
        self.door = ListenerServer("callers", self.listener, sockets)

    @property
    def peer(self) -> Peer:
        """The last request's peer."""
        peer = self.app.scopes[-1]["extensions"]["invopop_gateway.peer"]
        assert isinstance(peer, Peer)
        return peer


class Bare(Recorder):
    """A recorder that lets the life span pass."""

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if scope["type"] != "lifespan":
            await super().__call__(scope, receive, send)


async def opened(stack: AsyncExitStack, header_timeout: float = 0.2, /, **listen: object) -> Opened:
    """An open listener that is drained at the test's end."""
    made = Opened(Bare(), header_timeout, **listen)
    await made.door.open()
    stack.push_async_callback(made.door.drain, 5)
    return made


class Authority:
    """A CA with a server certificate, and clients that trust it."""

    def __init__(self, directory: Path) -> None:
        self.ca = trustme.CA()
        issued = self.ca.issue_cert("127.0.0.1")
        self.ca.cert_pem.write_to_path(str(directory / "ca.pem"))
        issued.private_key_and_cert_chain_pem.write_to_path(str(directory / "both.pem"))
        both = str(directory / "both.pem")
        self.listen = {
            "tls_certificate": both,
            "tls_key": both,
            "client_ca": str(directory / "ca.pem"),
        }

    def client(self, *names: str) -> ssl.SSLContext:
        """A client's side, with a certificate of these names if there are any."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        if names:
            self.ca.issue_cert(*names).configure_cert(context)
        return context

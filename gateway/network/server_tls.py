"""TLS for those who connect to us, such that the alert of a failed handshake can be sent.

Rule: asyncio and uvloop drop the connection together with the alert that says why
(python/cpython#98078); here it is handed to whoever watches the handshake, before they do.
"""

import ssl
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, Self

from gateway.network.tls import VERIFY

# Told of a failure: the error, and the alert as it goes on the wire. asyncio and uvloop run all of
# a connection's callbacks in the context that it was handed to them in.
Watcher = Callable[[ssl.SSLError, bytes], None]
WATCHER: Final[ContextVar[Watcher | None]] = ContextVar("handshake_watcher", default=None)


class _WatchedSession(ssl.SSLObject):
    """One connection's TLS; `outgoing` has what is to be sent."""

    outgoing: ssl.MemoryBIO | None = None

    def do_handshake(self) -> None:
        """Goes on with the handshake; tells the watcher when it has failed."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            watcher = WATCHER.get()
            if watcher is not None and self.outgoing is not None:
                watcher(error, self.outgoing.read())
            raise


class ServerContext(ssl.SSLContext):
    """A server's context, TLS 1.2 or later, http/1.1 only."""

    sslobject_class = _WatchedSession

    def __new__(cls) -> Self:
        """Without a certificate: that is loaded next."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self) -> None:
        self.minimum_version = ssl.TLSVersion.TLSv1_2
        self.set_alpn_protocols(["http/1.1"])
        self.verify_flags = VERIFY

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **options: Any
    ) -> ssl.SSLObject:
        """See `ssl.SSLContext`."""
        session = super().wrap_bio(incoming, outgoing, *args, **options)
        if isinstance(session, _WatchedSession):
            session.outgoing = outgoing
        return session

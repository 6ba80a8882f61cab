"""What a request (`cycle.Cycle`) needs of the connection that it came by.

Rule: an interface; the code behind it is in `connection` and `protocol`.
"""

from typing import Protocol, TypeVar

from gateway.asgi import Scope
from gateway.errors import GatewayError
from gateway.model import Peer, Tunnel

C_contra = TypeVar("C_contra", contravariant=True)


class CycleConnection(Protocol[C_contra]):
    """What a request needs of the connection that it came by."""

    write_paused: bool
    peer: Peer
    caller: str | None  # of its last request; "" if that was refused as nobody's, None before
    keep_alive: bytes  # the field that announces the idle time, and the end of the head

    def scope(self) -> Scope:
        """What this connection adds to a request's scope, as a copy that the app may change."""
        ...

    def write(self, data: bytes) -> None:
        """Sends bytes of a reply; if many are unsent, `write_paused` becomes true."""
        ...

    async def drained(self) -> None:
        """Returns once writing is no longer paused."""
        ...

    def await_body(self) -> None:
        """Starts the time in which the caller must send more of its body."""
        ...

    def body_taken(self) -> None:
        """The app has taken all of the body that had come."""
        ...

    def closes_after(self, cycle: C_contra) -> bool:
        """Whether this reply must be the connection's last."""
        ...

    def replied(self, cycle: C_contra, *, closes: bool) -> None:
        """The reply is whole."""
        ...

    def cut(self, *, reset: bool) -> None:
        """Ends the connection within a reply; `reset` where an orderly close would complete it."""
        ...

    def open_tunnel(self, tunnel: Tunnel) -> None:
        """Answers a CONNECT with 200; what comes from now on is TLS."""
        ...

    def refuse(self, error: GatewayError, cycle: C_contra) -> None:
        """Answers with an error in place of the app."""
        ...

"""The shapes of ASGI 3 (https://asgi.readthedocs.io), as server and application exchange them."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# What the server adds under a scope's `extensions`, found valid, and the application relies on.
TARGET: Final = "invopop_gateway.target"  # the request target as it was sent, bytes
PEER: Final = "invopop_gateway.peer"  # a `gateway.model.Peer`
# In extensions, and only within a tunnel: the `gateway.model.Tunnel` that the request came through.
# As the type of a message, with one as its `tunnel`: the answer to CONNECT that opens it.
TUNNEL: Final = "invopop_gateway.tunnel"
# In `http.response.start`, true where all of the body follows at once: both are sent together.
WHOLE: Final = "invopop_gateway.whole"
LINES: Final = "invopop_gateway.lines"  # there, too: its headers as `ReplyLines`, or None
CONTENT_LENGTH: Final = "invopop_gateway.content_length"  # 0 without a body, None for a chunked one
ARRIVED: Final = "invopop_gateway.arrived"  # only if the head had to wait: since when, perf_counter
# In `http.response.start`: the name of the caller, "" if nobody was recognized.
CALLER: Final = "invopop_gateway.caller"
KNOWN: Final = "invopop_gateway.known"  # what earlier requests had too: a `KnownRequest`, or None

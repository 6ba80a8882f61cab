"""CONNECT: a tunnel to one of Invopop's hosts, for clients that speak only `https://`.

Rule: opens one for a known caller only; each request inside is judged by itself, as of then.
"""

import re
from typing import Final

from gateway.admission import Admission
from gateway.asgi import CALLER, CONTENT_LENGTH, PEER, TARGET, TUNNEL, Scope, Send
from gateway.errors import CallerError
from gateway.inbound import Head
from gateway.model import Exchange, Inbound, Tunnel
from gateway.services import Services
from gateway.upstream.headers import has_own_via
from gateway.upstream.target import no_tunnel

_TARGET: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_TLS_PORT: Final = 443


async def open_tunnel(services: Services, x: Exchange, scope: Scope, send: Send) -> None:
    """Answers CONNECT: 200, and what comes then is for `server.tunnel`.

    Raises `CallerError`: `bad_request`, `method_not_allowed`, `loop_detected`, or why the caller
    is not known (407).
    """
    extensions = scope["extensions"]
    host = b"" if TUNNEL in extensions else _host_of(services, extensions[TARGET])
    if services.tunnels is None:
        raise no_tunnel()
    if not host:
        raise no_tunnel((services.sender.forwarder.authority.host_field, *services.files.senders))
    if extensions[CONTENT_LENGTH] != 0:
        raise CallerError("bad_request", "CONNECT has no body.")
    headers = scope["headers"]
    if has_own_via(headers):
        raise CallerError("loop_detected", "This request has already passed through the gateway.")
    shown = [value for name, value in headers if name == b"proxy-authorization"]
    inbound = Inbound(
        method="CONNECT",
        target=b"",
        path=b"",
        headers=headers,
        peer=extensions[PEER],
        content_length=0,
        request_id=x.request_id,
        proxy_form=True,
    )
    head = Head(inbound, shown[0] if shown else None, (), (), None, None)
    x.step("authenticate")
    caller = await Admission(services, x, head).authenticate()
    x.step("")
    tunnel = Tunnel(
        host=host,
        of_files=host in services.files.senders,
        credential=head.credential if caller.by in ("token", "jwt") else None,
        context=services.tunnels.context(_name(host)),
    )
    x.status = 200
    await send({"type": TUNNEL, "tunnel": tunnel, CALLER: caller.name})


def _host_of(services: Services, target: bytes) -> bytes:
    """The name of the host that is meant, on 443 or its own port; b"" if it is not configured."""
    form = _TARGET.fullmatch(target)
    if form is None:
        return b""
    host, port = form[1].lower().removesuffix(b"."), int(form[2])
    upstream, files = services.sender.forwarder.authority, services.files
    if host == upstream.host.removesuffix(b".") and port in (_TLS_PORT, upstream.port):
        return upstream.host_field
    if port == _TLS_PORT:
        return files.names.get((host, None), b"")
    name = b"%b:%d" % (host, port)
    return name if name in files.senders else b""


def _name(host: bytes) -> str:
    """A host as certificates have it: without port and brackets."""
    text = host.decode("ascii")
    return text[1:].partition("]")[0] if text[:1] == "[" else text.partition(":")[0]

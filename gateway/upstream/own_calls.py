"""What the gateway's own calls to Invopop share: their answers are read whole, and are short."""

from typing import Final

from gateway.model import Reply

LIMIT: Final = 64 * 1024  # bytes of an answer; a workspace or an enrollment is a few hundred


async def whole_body(reply: Reply) -> bytes | None:
    """The body; None if it is longer than `LIMIT`. Raises `UpstreamError` if it breaks off."""
    if reply.body.ready is not None:
        return reply.body.ready
    body = b""
    async for chunk in reply.body:
        body += chunk
        if len(body) > LIMIT:
            return None
    return body

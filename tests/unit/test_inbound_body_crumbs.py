"""Bodies that come in crumbs: what is kept of them takes no more than their bytes."""

from typing import Any

from gateway.framing import MOST_PIECES
from gateway.inbound_body import InboundBody


async def test_a_body_in_crumbs_is_kept_in_a_few_pieces() -> None:
    """However small the segments that bring it: all of it is there, and can be sent again."""
    left = 5000

    async def receive() -> dict[str, Any]:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": b"xy", "more_body": left > 0}

    body = InboundBody(receive, 0)
    await body.prefetch()
    assert body._kept is not None
    assert len(body._kept) <= MOST_PIECES
    assert body.ready == b"xy" * 5000

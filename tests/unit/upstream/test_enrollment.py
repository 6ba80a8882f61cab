"""A call for a key: what of its answer is Invopop's, and what its edge's."""

from collections.abc import Callable

import pytest

from gateway.errors import UpstreamError
from gateway.events import Event, UpstreamFailed
from gateway.upstream.enrollment import EnrollmentCall
from gateway.upstream.target import authority_of
from gateway.upstream.transport import Transport
from tests.support.origin import Origin, Script, answering
from tests.support.outbound import TIMEOUTS

Origins = Callable[[Script], Origin]
Transports = Callable[..., Transport]


def refusing(body: bytes) -> bytes:
    return b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize("body", [b"error code: 1010", b'{"status":403,"error_code":1010}'])
async def test_the_edges_refusal_is_not_the_applications(
    origin: Origins, transport: Transports, events: list[Event], body: bytes
) -> None:
    """It is named and counted; the credentials may be right."""
    u = origin(answering(refusing(body)))
    call = EnrollmentCall(transport(), authority_of(u.url), TIMEOUTS, events.append)
    with pytest.raises(UpstreamError) as caught:
        await call.post(b"{}")
    assert caught.value.recorded_cause.startswith("edge_refused: Invopop's edge refuses")
    assert UpstreamFailed("edge_refused", "") in events


async def test_any_other_refusal_is_an_answer(
    origin: Origins, transport: Transports, events: list[Event]
) -> None:
    """What it means is for whoever asked to say."""
    u = origin(answering(refusing(b'{"message":"1010 is no client"}')))
    call = EnrollmentCall(transport(), authority_of(u.url), TIMEOUTS, events.append)
    status, _, body = await call.post(b"{}")
    assert (status, body) == (403, b'{"message":"1010 is no client"}')
    assert not [event for event in events if isinstance(event, UpstreamFailed)]

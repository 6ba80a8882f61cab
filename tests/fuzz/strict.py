"""h11 as the second strict parser: re-reads what the gateway took, and all that it emits."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import h11

_LARGE: Final = 1024 * 1024
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Reread(NamedTuple):
    """A reply as h11 reads it. `complete` is false for one that breaks off, or goes on.

    `refused`: h11 finds something unlawful behind the body that it has given.
    """

    status: int
    body: bytes
    complete: bool
    left_over: bytes
    reusable: bool
    refused: bool = False


class Request(NamedTuple):
    """A request as h11 reads it; header names are lower-case."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def all(self, name: bytes) -> list[bytes]:
        """Every value of one field."""
        return [value for key, value in self.headers if key == name]


def reread_reply(data: bytes, method: str, *, closed: bool) -> Reread | None:
    """One final reply to such a request; None if h11 finds it unlawful. `closed`: then the end."""
    connection = _asked(method)
    connection.receive_data(data)
    if closed:
        connection.receive_data(b"")
    status, body, complete = 0, b"", False
    try:
        while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                complete = True
                break
            elif isinstance(event, h11.ConnectionClosed):
                break
    except h11.RemoteProtocolError:
        return Reread(status, body, False, b"", False, refused=True) if status else None
    left_over = bytes(connection.trailing_data[0])
    return Reread(status, body, complete, left_over, connection.their_state is h11.DONE)


def reread_replies(data: bytes, methods: Sequence[str], *, closed: bool) -> list[int]:
    """The final statuses of replies on one connection, one for each of `methods` at most.

    A method that is "" may have been HEAD, too: nobody knows what a malformed request was. The
    end of the connection may be that of the last reply (HTTP/1.0), if it has come (`closed`).
    Raises AssertionError if they are not lawful, whole and all that there is.
    """
    statuses: list[int] = []
    for method in methods:
        if data in {b"", _CONTINUE}:  # asked for a body that has not come whole
            return statuses
        reply = reread_reply(data, method or "GET", closed=False)
        if not method and reply is not None and not reply.complete:
            reply = reread_reply(data, "HEAD", closed=False)
        if closed and reply is not None and not reply.complete:
            reply = reread_reply(data, method or "GET", closed=True)
        assert reply is not None, f"h11 refuses {data!r}"
        assert reply.complete, f"a reply is not whole: {data!r}"
        assert reply.reusable or not reply.left_over, f"bytes behind a last reply: {data!r}"
        statuses.append(reply.status)
        data = reply.left_over
    assert not data, f"bytes that answer nothing: {data!r}"
    return statuses


def reread_request(data: bytes) -> Request:
    """Exactly one request. Raises AssertionError if there is anything else."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGE)
    connection.receive_data(data)
    request: h11.Request | None = None
    body = b""
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            assert event is not h11.NEED_DATA, f"h11 waits for more than {data!r}"
            if isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
        assert not event.headers, f"trailers in {data!r}"
    except h11.RemoteProtocolError as error:
        raise AssertionError(f"h11 refuses {data!r}: {error}") from error
    assert request is not None
    assert not connection.trailing_data[0], f"more than one request in {data!r}"
    return Request(request.method, request.target, list(request.headers), body)


def _asked(method: str) -> h11.Connection:
    """A client's side of a connection on which such a request has been sent."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGE)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "gw")]))
    connection.send(h11.EndOfMessage())
    return connection

"""One request as the app sees it: its ASGI scope, `receive` and `send`, and the task it runs in.

Rule: knows ASGI and how replies are framed; the connection alone knows sockets and deadlines.
"""

import asyncio
from typing import Final

from gateway.asgi import CALLER, CONTENT_LENGTH, KNOWN, LINES, TARGET, TUNNEL, WHOLE, Message, Scope
from gateway.errors import GatewayError, GatewayFault
from gateway.events import Noticed
from gateway.framing import LAST_CHUNK, chunk, compact
from gateway.model import CALLER_LEFT
from gateway.observe.logs import describe_exception
from gateway.server.cycle_connection import CycleConnection
from gateway.server.http1 import RequestHead
from gateway.server.listener import Listener
from gateway.server.reply import Mode, frame_reply, hold, needs_whole

_COUNTED: Final = ("sized", "none")  # what tells a caller the end, before the app does
PIECE: Final = 64 * 1024  # of a reply's body: the most that is written before the caller has room


class Cycle:
    """A request in flight. `whole` says that all of its body has arrived.

    `at_hand`: all of a long reply is here, and the caller is taking it.
    """

    __slots__ = (
        "_arrival", "_chunks", "_closes", "_connection", "_end_given", "_expected", "_failure",
        "_held", "_left", "_listener", "_mode", "_start", "_task", "at_hand", "buffered",
        "complete", "gone", "request", "whole",
    )  # fmt: skip

    def __init__(
        self, connection: CycleConnection["Cycle"], listener: Listener, request: RequestHead
    ) -> None:
        self.request = request
        self._connection = connection
        self._listener = listener
        self.whole = request.content_length == 0
        self.buffered = 0
        self.gone = False
        self.at_hand = False
        self.complete = False
        self._chunks: list[bytes] = []
        self._arrival: asyncio.Future[None] | None = None
        self._failure: GatewayError | None = None
        self._end_given = False
        self._expected = request.expect_continue
        self._held: bytearray | None = None
        self._start: Message | None = None
        self._mode: Mode | None = None  # known once the head is on the wire
        self._left = 0
        self._closes = False
        listener.running.add(self)
        # Named, because asyncio would make up a name for each.
        self._task = asyncio.Task(self._run(), loop=listener.loop, name="request")

    # Called by the connection.

    def feed(self, body: bytes) -> None:
        """Takes more of the body; a caller that has begun needs no 100 (RFC 9110 10.1.1)."""
        self._expected = False
        self._chunks.append(body)
        compact(self._chunks)
        self.buffered += len(body)
        self._wake()

    def end(self) -> None:
        """Marks the body as whole."""
        self.whole = True
        self._wake()

    def fail(self, error: GatewayError) -> None:
        """Marks the body as broken: `receive` raises `error` once it has returned what came."""
        self._failure = error
        self._wake()

    def cancel(self, message: str) -> None:
        """Cancels the app's task, once, and not until it has started.

        So the app sees, counts and logs even a request whose caller is already gone.
        """
        if self.gone:
            return
        if message == CALLER_LEFT and self.is_delivered():
            self.complete = True
            self._wake()
            return
        self.gone = True
        self._wake()
        self._listener.loop.call_soon(self._task.cancel, message)

    def is_delivered(self) -> bool:
        """Whether all that the head announced was sent, though the app has not ended the reply."""
        return self._mode in _COUNTED and self._left == 0 and not self._connection.write_paused

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    # Called by the app.

    async def receive(self) -> Message:
        """ASGI `receive`. Raises `CallerError` request_timeout or bad_request for a broken body."""
        while (message := self._next_message()) is None:
            if self._expected:
                self._ask_for_body()
            self._arrival = self._listener.loop.create_future()
            await self._arrival
        if message["type"] == "http.disconnect":
            await asyncio.sleep(0)  # where the task's cancellation, already on its way, lands
        return message

    def _ask_for_body(self) -> None:
        """Sends 100 Continue (RFC 9110 10.1.1), unless the final reply has begun."""
        self._expected = False
        if self._mode is None:
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._connection.await_body()

    def _next_message(self) -> Message | None:
        if self._chunks:
            body = b"".join(self._chunks)
            self._chunks = []
            self.buffered = 0
            self._connection.body_taken()
        elif self._failure is not None:
            raise self._failure
        elif self.gone or self.complete:
            return {"type": "http.disconnect"}
        elif self.whole and not self._end_given:
            body = b""
        else:
            return None
        self._end_given = self.whole
        return {"type": "http.request", "body": body, "more_body": not self.whole}

    async def send(self, message: Message) -> None:
        """ASGI `send`. Raises `RuntimeError` or `ValueError` for what cannot be a reply."""
        if self.gone or self.complete:
            await asyncio.sleep(0)  # as in `receive`
        elif message["type"] == "http.response.start":
            self._begin(message)
        elif message["type"] == "http.response.body":
            body, more = message.get("body", b""), message.get("more_body", False)
            if self._held is not None:
                hold(self._held, body)
                if more:
                    return
                body = bytes(self._held)
            if len(body) > PIECE:
                self.at_hand = not more
                body = await self._write_beginning(body, more)
            self._write(body, more)
            if more and self._connection.write_paused:
                await self._connection.drained()
        elif message["type"] == TUNNEL:
            self.complete = True
            self._connection.caller = message.get(CALLER)
            self._connection.open_tunnel(message["tunnel"])

    def _begin(self, start: Message) -> None:
        if self._start is not None or self._mode is not None:
            raise RuntimeError("a second http.response.start")
        self._start = start
        self._connection.caller = start.get(CALLER)
        if needs_whole(start, self.request, self._connection.peer):
            self._held = bytearray()
        elif not start.get(WHOLE):
            # With a body at hand, head and body are one write; else the head goes in the next turn.
            self._listener.loop.call_soon(self._flush_head)

    async def _write_beginning(self, body: bytes, more: bool) -> bytes:
        """Writes a long body piece by piece, as the caller takes it; returns the last piece.

        Else a reply as a whole would wait in memory, with no request left that counts for it.
        """
        if self._mode is None:
            self._connection.write(self._take_head(None if more else len(body)))
        last = (len(body) - 1) // PIECE * PIECE
        for start in range(0, last, PIECE):
            self._write(body[start : start + PIECE], True)
            await asyncio.sleep(0)  # others' requests do not wait until all of it is written
            if self.gone:
                await asyncio.sleep(0)  # as in `receive`: nothing more can be written
            if self._connection.write_paused:
                await self._connection.drained()
        return body[last:]

    def _flush_head(self) -> None:
        if self._start is None or self.gone:
            return
        try:
            self._connection.write(self._take_head(None))
        except (ValueError, TypeError):
            return  # raised again at the app's next `send`, where the app gets it

    def _take_head(self, whole: int | None) -> bytes:
        """The head of the reply, which is then regarded as sent."""
        start = self._start
        if start is None:
            raise RuntimeError("http.response.body before http.response.start")
        headers = start.get("headers", ())
        if not isinstance(headers, list):
            headers = list(headers)
        head = frame_reply(start["status"], headers, self.request, whole, start.get(LINES))
        self._start, self._mode, self._left = None, head.mode, head.length
        self._closes = head.mode == "until close" or self._connection.closes_after(self)
        date = b"" if head.dated else self._listener.date()
        end = b"connection: close\r\n\r\n" if self._closes else self._connection.keep_alive
        return head.block + date + end

    def _write(self, body: bytes, more: bool) -> None:
        data = b"" if self._mode is not None else self._take_head(None if more else len(body))
        mode = self._mode
        if mode == "sized":
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                self._mode = None if data else mode  # that head has not been sent after all
                raise RuntimeError("the reply is not as long as its Content-Length")
            data += body
        elif mode == "chunked":
            data += chunk(body)
            if not more:
                data += LAST_CHUNK
        elif mode == "until close":
            data += body
        if data:
            self._connection.write(data)
        if not more:
            self.complete = True
            if self._arrival is not None:
                self._wake()
            self._connection.replied(self, closes=self._closes)

    # The app's task.

    async def _run(self) -> None:
        try:
            await self._listener.app(self._scope(), self.receive, self.send)
            if not self.complete:
                self._require_left()
        except asyncio.CancelledError:
            if not self.gone:  # not ours: the loop is closing, or the app cancelled itself
                self._give_up(GatewayFault("internal_error"))
                raise
        except GatewayError as error:
            self._give_up(error)
        except Exception as defect:  # noqa: BLE001 - an app may fail in any way; the caller must know
            self._listener.emit(Noticed("internal_error", "error", describe_exception(defect)))
            self._give_up(GatewayFault("internal_error"))
        finally:
            self._listener.running.discard(self)
            if self._listener.stopping:
                self._listener.departed()

    def _require_left(self) -> None:
        if not self.gone:
            raise RuntimeError("the app returned without a whole reply")

    def _give_up(self, error: GatewayError) -> None:
        if self.gone or self.complete:
            return
        self._start = None
        if self._mode is None:
            self._connection.refuse(error, self)
        else:
            self._connection.cut(reset=self._mode == "until close")

    def _scope(self) -> Scope:
        request = self.request
        path = request.raw_path.decode()
        scope = self._connection.scope()
        scope["http_version"] = request.version
        scope["method"] = request.method
        scope["path"] = path if path[:1] == "/" else "/" + path  # what a router can match
        scope["raw_path"] = request.raw_path
        scope["query_string"] = request.query
        scope["headers"] = request.headers
        extensions = scope["extensions"]
        extensions[TARGET] = request.target
        extensions[CONTENT_LENGTH] = request.content_length
        extensions[KNOWN] = request.known
        return scope

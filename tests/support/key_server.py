"""An issuer's endpoint over real TLS: publishes, rotates, stalls, lies, dies and comes back."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from tests.support.certificates import accept_tls

JWKS = "/jwks"
DISCOVERY = "/.well-known/openid-configuration"


class Asked(NamedTuple):
    """One request that came: its path, and its `Authorization` if there was one."""

    path: str
    authorization: str | None


class _Answer(NamedTuple):
    status: int
    body: bytes
    headers: Mapping[str, str]


class KeyServer:
    """Listens on a port that stays its own. `bearer`, if set, is what it wants to be shown."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.asked: list[Asked] = []
        self.bearer: str | None = None
        self._context = context
        self._answers: dict[str, _Answer] = {}
        self._open = threading.Event()
        self._open.set()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.come_back()

    @property
    def url(self) -> str:
        """Its origin."""
        return f"https://localhost:{self.port}"

    def put(self, path: str, body: Any, status: int = 200, **headers: str) -> None:
        """Answers `path` so from now on; `body` is bytes, or becomes JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        self._answers[path] = _Answer(status, data, fields)

    def fetches(self, path: str = JWKS) -> int:
        """How often a path has been asked for."""
        return sum(asked.path == path for asked in self.asked)

    @contextlib.contextmanager
    def stalling(self) -> Iterator[None]:
        """Takes requests, and answers none before the end."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Refuses connections."""
        self.die()
        try:
            yield
        finally:
            self.come_back()

    def die(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def come_back(self) -> None:
        """Listens, on the old port if there is one."""
        self._server = _Server(self.port, self._context, self._handler())
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Ends everything, stalled answers too."""
        self._open.set()
        self.die()

    def answer(self, asked: Asked) -> _Answer:
        """What this request is answered, when it may be."""
        self.asked.append(asked)
        self._open.wait(20)
        if self.bearer is not None and asked.authorization != f"Bearer {self.bearer}":
            return _Answer(401, b"{}", {})
        return self._answers.get(asked.path, _Answer(404, b"", {}))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body, headers = site.answer(Asked(self.path, self.headers["Authorization"]))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, port: int, context: ssl.SSLContext, handler: type[BaseHTTPRequestHandler]
    ) -> None:
        self._context = context
        super().__init__(("127.0.0.1", port), handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread, so that a handshake delays nobody."""
        with contextlib.suppress(OSError):
            request.settimeout(20)
            with accept_tls(self._context, request) as session:
                super().finish_request(session, client_address)

    def shutdown_request(self, request: Any) -> None:
        """The TLS session has taken the socket over, and closed it."""
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)
        request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A gateway that gives up is no error here."""

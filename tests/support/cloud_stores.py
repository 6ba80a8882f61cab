"""Google's and Microsoft's secret stores as far as the gateway uses them, on loopback.

Written after their public REST references: paths, statuses and error bodies are theirs.
"""

import base64
import contextlib
import json
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.certificates import accept_tls


class _Server(ThreadingHTTPServer):
    """Closes its connections when it ends, also those that their client still keeps."""

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        tls: ssl.SSLContext | None,
    ) -> None:
        self._accepted: list[socket.socket] = []
        self._tls = tls
        super().__init__(address, handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, peer = super().get_request()
        if self._tls is not None:
            connection = accept_tls(self._tls, connection)
        self._accepted.append(connection)
        return connection, peer

    def handle_error(self, *_: object) -> None:
        """A connection that was cut is no error of the server's."""

    def server_close(self) -> None:
        super().server_close()
        for connection in self._accepted:
            connection.close()


class CloudStore:
    """One server; `secrets` by name, and `fail` for a status that every read gets instead."""

    bearer = "bearer-of-the-store"

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self._answer()

            def _answer(self) -> None:
                store.calls.append(urlsplit(self.path).path)
                status, document, headers = store.reply(self.path, dict(self.headers))
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name, value)
                with contextlib.suppress(ConnectionError):  # who asked may have given up
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.secrets: dict[str, str] = {}
        self.fail: int | None = None
        self.garbage = False
        self.calls: list[str] = []
        self._server = _Server(("127.0.0.1", 0), Handler, tls)
        self._server.daemon_threads = True
        self.port = self._server.server_port

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reply(self, path: str, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        """Status, document and headers for a request."""
        raise NotImplementedError


class SecretManager(CloudStore):
    """Google Secret Manager, and the token endpoint of a service account."""

    def service_account(self, private_key: str) -> dict[str, str]:
        """A key file whose tokens come from here."""
        return {
            "type": "service_account",
            "project_id": "billing",
            "private_key_id": "1",
            "private_key": private_key,
            "client_email": "gateway@billing.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"http://127.0.0.1:{self.port}/token",
        }

    def reply(self, path: str, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        """`:access` of a version; errors in Google's shape."""
        if path == "/token":
            token = {"access_token": self.bearer, "expires_in": 3599, "token_type": "Bearer"}
            return 200, token, {}
        if self.garbage:
            return 200, b"<html>", {}
        if headers.get("Authorization") != f"Bearer {self.bearer}":
            return _google(401, "UNAUTHENTICATED")
        if self.fail is not None:
            return _google(self.fail, "SOMETHING")
        name = path.removeprefix("/v1/projects/billing/secrets/").removesuffix(":access")
        value = self.secrets.get(name.removesuffix("/versions/latest"))
        if value is None:
            return _google(404, "NOT_FOUND")
        data = base64.b64encode(value.encode()).decode()
        return 200, {"name": path, "payload": {"data": data}}, {}


class KeyVault(CloudStore):
    """Azure Key Vault, and the managed identity endpoint of App Service."""

    @property
    def resource(self) -> str:
        """What the challenge asks a token for; the client wants it to be the vault's own domain."""
        return f"https://vault.test:{self.port}"

    def reply(self, path: str, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        """`GET /secrets/NAME/VERSION`; the first call of a client is challenged."""
        where = urlsplit(path).path
        if where == "/identity":
            token = {
                "access_token": self.bearer,
                "expires_on": "4000000000",
                "token_type": "Bearer",
            }
            return 200, {**token, "resource": self.resource}, {}
        if headers.get("Authorization") != f"Bearer {self.bearer}":
            challenge = (
                f'Bearer authorization="https://login.test/tenant", resource="{self.resource}"'
            )
            return 401, _azure("Unauthorized"), {"WWW-Authenticate": challenge}
        if self.garbage:
            return 200, b"<html>", {}
        if self.fail is not None:
            return self.fail, _azure("Something"), {}
        name = where.removeprefix("/secrets/").strip("/")
        if name not in self.secrets:
            return 404, _azure("SecretNotFound"), {}
        place = f"https://kv.vault.test:{self.port}/secrets/{name}"
        return 200, {"value": self.secrets[name], "id": place, "attributes": {"enabled": True}}, {}


def _google(status: int, word: str) -> tuple[int, Any, dict[str, str]]:
    return status, {"error": {"code": status, "message": "…", "status": word}}, {}


def _azure(code: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "…"}}

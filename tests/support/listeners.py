"""Gateways that do not listen on plain TCP, and callers that come in by TLS or a Unix socket."""

import http.client
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.support.caller import Reply
from tests.support.certificates import Authority, server_context
from tests.support.gateway import START_TIMEOUT, GatewayProcess, eventually
from tests.support.jwt import Issuer
from tests.support.scripted_origin import ScriptedOrigin
from tests.support.world import AUDIENCE, ENVIRON, ISSUER, VAULT, merged, settings


class Site:
    """A running gateway whose listener is as `changes` say, and its origin; a context manager.

    `drop` names members of `listen` that are left out.
    """

    def __init__(self, directory: Path, changes: Mapping[str, Any], *drop: str) -> None:
        self.authority = Authority(directory)
        self.origin = ScriptedOrigin(server_context(self.authority.certificate("localhost")))
        issuer = Issuer(directory, ISSUER, AUDIENCE)
        configured = merged(settings(self.origin, self.authority.ca_file, issuer), changes)
        for name in drop:
            del configured["listen"][name]
        self.gateway = ListenerProcess(directory, configured, VAULT, ENVIRON)

    def __enter__(self) -> Self:
        self.gateway.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.gateway.__exit__(None, None, None)
        self.origin.hang_up()

    def over_tls(self, context: ssl.SSLContext, **headers: str) -> Reply:
        """GET /x over a new TLS connection. Raises `OSError` if there is none to be had."""
        return _get(http.client.HTTPSConnection("localhost", self.gateway.port, timeout=5,
                                                context=context), headers)  # fmt: skip

    def over_socket(self, path: Path, **headers: str) -> Reply:
        """GET /x over a Unix socket."""
        return _get(_UnixConnection(path), headers)


class ListenerProcess(GatewayProcess):
    """A process whose callers' listener may have no port."""

    def wait_until_listening(self) -> None:
        eventually(lambda: len(self.events("listening")) == 2 or self.process.poll() is not None,
                   START_TIMEOUT)  # fmt: skip
        assert self.process.poll() is None, "\n".join(self.lines())
        urls = {event["listener"]: event["url"] for event in self.events("listening")}
        self.admin_port = int(urls["admin"].rpartition(":")[2])
        if not urls["callers"].startswith("unix:"):
            self.port = int(urls["callers"].rpartition(":")[2])


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("gateway", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def _get(connection: http.client.HTTPConnection, headers: Mapping[str, str]) -> Reply:
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", "/x", headers=named)
        reply = connection.getresponse()
        fields = [(name.lower(), value) for name, value in reply.getheaders()]
        return Reply(reply.status, fields, reply.read(), complete=True)
    finally:
        connection.close()

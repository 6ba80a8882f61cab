"""Callers that open tunnels by CONNECT, and speak TLS and HTTP inside."""

import base64
import http.client
import socket
import ssl
from pathlib import Path
from typing import Any, Self

from gateway.cli.tunnel_ca import new_authority
from tests.support.caller import Reply
from tests.support.world import TOK_A


def basic(token: str = TOK_A) -> str:
    """The field by which clients show what stands in their proxy's URL."""
    return "Proxy-Authorization: Basic " + base64.b64encode(f"any:{token}".encode()).decode()


def tunnel_settings(directory: Path, *hosts: str) -> dict[str, str]:
    """`[tunnel]`, with a CA for these hosts made in the directory."""
    certificate, key = directory / "tunnel-ca.pem", directory / "tunnel-ca-key.pem"
    certificate.write_bytes((made := new_authority(hosts))[0])
    key.write_bytes(made[1])
    key.chmod(0o600)
    return {"certificate": str(certificate), "key": str(key)}


def read_head(sock: socket.socket) -> bytes:
    """What is answered up to a blank line, which must come; not a byte more is read."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        assert byte, head
        head += byte
    return head


class TunnelClient:
    """A connection to the gateway; `open` makes a tunnel of it. A context manager."""

    def __init__(self, port: int, ca: Path, peer: tuple[str, int] | None = None) -> None:
        self.sock: Any = socket.create_connection(peer or ("127.0.0.1", port), timeout=10)
        self._context = ssl.create_default_context(cafile=str(ca))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def connect(self, authority: str, *fields: str, behind: bytes = b"") -> tuple[int, str]:
        """Sends CONNECT, with `behind` in the same segment: status and the rest of its answer."""
        lines = [f"CONNECT {authority} HTTP/1.1", "Host: gateway", *fields, "", ""]
        self.sock.sendall("\r\n".join(lines).encode() + behind)
        head = read_head(self.sock).decode("latin-1")
        return int(head.split(" ", 2)[1]), head.split(" ", 2)[2]

    def secure(self, name: str = "localhost") -> None:
        """The handshake for this name."""
        self.sock = self._context.wrap_socket(self.sock, server_hostname=name)

    def open(self, authority: str, *fields: str) -> Self:
        """Both, with a token unless other fields are named."""
        status, rest = self.connect(authority, *(fields or (basic(),)))
        assert status == 200, rest
        self.secure(authority.rpartition(":")[0])
        return self

    def ask(self, line: str, *fields: str, body: bytes = b"", host: str = "api") -> Reply:
        """One request inside, and its reply."""
        lines = [f"{line} HTTP/1.1", f"Host: {host}", *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        answer = http.client.HTTPResponse(self.sock, method=line.split(" ", maxsplit=1)[0])
        answer.begin()
        fields_of = [(name.lower(), value) for name, value in answer.getheaders()]
        reply = Reply(answer.status, fields_of, answer.read(), complete=True)
        answer.close()
        return reply

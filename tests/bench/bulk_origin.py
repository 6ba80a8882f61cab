"""A TLS origin for much data: `GET /N` gives N bytes, anything else is read to its end.

Run as a process of its own: `python -m tests.bench.bulk_origin PORT CERTIFICATE`. One thread per
connection; it is no strict server, only a fast one.
"""

import socket
import ssl
import sys
import threading
from pathlib import Path
from typing import Final

from tests.support.certificates import server_context

_PIECE: Final = 256 * 1024
_LAST_CHUNK: Final = b"0\r\n\r\n"


def serve(port: int, certificate: Path) -> None:
    """Serves until it is ended."""
    context = server_context(certificate)
    with socket.create_server(("127.0.0.1", port)) as listening:
        while True:
            plain, _ = listening.accept()
            threading.Thread(target=_serve, args=(context, plain), daemon=True).start()


def _serve(context: ssl.SSLContext, plain: socket.socket) -> None:
    try:
        with context.wrap_socket(plain, server_side=True) as connection:
            while _exchange(connection):
                pass
    except OSError:
        return  # the gateway is gone


def _exchange(connection: ssl.SSLSocket) -> bool:
    """One request and its reply; false at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return False
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    fields = dict(line.split(b": ", 1) for line in lines[1:])
    if head.startswith(b"GET "):
        _give(connection, int(lines[0].split(b" ")[1].strip(b"/")))
        return True
    if b"content-length" in fields:
        count = _take(connection, len(body), int(fields[b"content-length"]))
    else:
        count = _take_chunks(connection, body)
    text = b"%d" % count
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
    return True


def _give(connection: ssl.SSLSocket, count: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % count)
    piece = bytes(_PIECE)
    while count > 0:
        connection.sendall(piece[: min(count, _PIECE)])
        count -= _PIECE


def _take(connection: ssl.SSLSocket, seen: int, count: int) -> int:
    buffer = bytearray(_PIECE)
    while seen < count:
        seen += connection.recv_into(buffer) or _cut()
    return seen


def _take_chunks(connection: ssl.SSLSocket, body: bytes) -> int:
    """Reads up to the last chunk; of the data, which is all zeros, only the amount matters."""
    seen, tail = len(body), body[-5:]
    while not tail.endswith(_LAST_CHUNK):
        piece = connection.recv(_PIECE) or bytes(_cut())
        seen += len(piece)
        tail = (tail + piece)[-5:]
    return seen


def _cut() -> int:
    raise ConnectionResetError


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))

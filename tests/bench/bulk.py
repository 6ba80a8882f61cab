"""1 GiB through the gateway, each way: how fast, at which cost, and that memory stays flat."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final, NamedTuple, Self

from tests.bench.environment import TOKEN, Stage
from tests.bench.machine import BenchError, Process, free_port
from tests.bench.rivals import start_gateway

_PIECE: Final = 256 * 1024
_PATH: Final = "/silo/v1/files/bench"


class Bulk(NamedTuple):
    """One body through the gateway: MiB per second, CPU ms per MiB, most growth in bytes."""

    rate: float
    cpu: float
    growth: int


class _Peak:
    """Watches a process's resident memory from a thread of its own, every few milliseconds."""

    def __init__(self, process: Process) -> None:
        self.most = process.usage().resident
        self._process = process
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.most = max(self.most, self._process.usage().resident)


def measure_bulk(stage: Stage, size: int) -> dict[str, Bulk]:
    """`size` bytes up with a length, up in chunks, and down."""
    with ExitStack() as stack:
        port = free_port()
        command = (sys.executable, "-m", "tests.bench.bulk_origin", str(port))
        origin = Process(
            (*command, str(stage.certificate)), stage.cores.load, stage.output("bulk-origin")
        )
        stack.callback(origin.stop)
        origin.wait_for_port(port)
        gateway, callers = start_gateway(stage._replace(origin_port=port), "gateway-bulk")
        stack.callback(gateway.stop)
        ways: dict[str, Callable[[socket.socket, int], None]] = {
            "up": _up_sized,
            "up, chunked": _up_chunked,
            "down": _down,
        }
        here = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {stage.cores.load})
        try:
            return {name: _measure(gateway, callers, way, size) for name, way in ways.items()}
        finally:
            os.sched_setaffinity(0, here)


def _measure(
    gateway: Process, port: int, way: Callable[[socket.socket, int], None], size: int
) -> Bulk:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        way(connection, _PIECE)  # what is allocated once is no growth
        before = gateway.usage()
        with _Peak(gateway) as peak:
            began = time.perf_counter()
            way(connection, size)
            seconds = time.perf_counter() - began
        cpu = gateway.usage().cpu - before.cpu
    mebibytes = size / 2**20
    return Bulk(mebibytes / seconds, cpu / mebibytes * 1e3, peak.most - before.resident)


def _head(method: str, path: str, *more: str) -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {TOKEN}", *more)
    return "\r\n".join((*lines, "", "")).encode()


def _up_sized(connection: socket.socket, size: int) -> None:
    connection.sendall(_head("PUT", _PATH, f"Content-Length: {size}"))
    piece = bytes(_PIECE)
    for _ in range(size // _PIECE):
        connection.sendall(piece)
    _take_reply(connection)


def _up_chunked(connection: socket.socket, size: int) -> None:
    connection.sendall(_head("PUT", _PATH, "Transfer-Encoding: chunked"))
    piece = b"%x\r\n%b\r\n" % (_PIECE, bytes(_PIECE))
    for _ in range(size // _PIECE):
        connection.sendall(piece)
    connection.sendall(b"0\r\n\r\n")
    _take_reply(connection)


def _down(connection: socket.socket, size: int) -> None:
    connection.sendall(_head("GET", f"/{size}"))
    if _take_reply(connection) != size:
        raise BenchError("the body that came down is not as long as it was")


def _take_reply(connection: socket.socket) -> int:
    """Reads a reply with a length to its end; the length. Raises BenchError if it is no 200."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise BenchError(f"the gateway answered {data[:500]!r}")
    fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
    length, seen, buffer = int(fields[b"content-length"]), len(body), bytearray(_PIECE)
    while seen < length:
        seen += connection.recv_into(buffer) or _cut()
    return length


def _some(connection: socket.socket) -> bytes:
    return connection.recv(65536) or bytes(_cut())


def _cut() -> int:
    raise BenchError("the gateway closed the connection within a reply")

"""Reports readiness, reloads, the end and a heartbeat to the service manager: sd_notify(3).

Rule: best effort; nothing here fails or delays the program, and nothing but readiness, reloads, the
end and the loop's own life is ever sent.
"""

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

from gateway.events import ConfigReloaded

_AGAIN_SECONDS: Final = 0.1  # after the manager's queue was full
_MICROSECONDS: Final = 1_000_000


class ServiceManager:
    """The service manager at `NOTIFY_SOCKET`; without that variable nothing is ever sent.

    `ready` starts the heartbeat if the manager asked this process for one (`WATCHDOG_USEC`): it is
    sent by the event loop, so a loop that hangs sends none. Needs a running event loop.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._heartbeat_seconds = _heartbeat_seconds(environ)
        self._socket: socket.socket | None = None
        self._waiting: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._ready = self._stopping = False

    def close(self) -> None:
        """Nothing more is sent."""
        self._address = ""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._socket.close()

    def ready(self) -> None:
        """The listeners listen."""
        self._ready = True
        self._send("READY=1\nSTATUS=Serving")
        if self._address and self._heartbeat_seconds:
            self._beat()

    def reloading(self) -> None:
        """A reload was asked for; `reloaded` follows it."""
        if self._ready and not self._stopping:
            now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            self._send(f"RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=Reloading the configuration")

    def reloaded(self, event: ConfigReloaded) -> None:
        """A reload has ended. One that was refused changes nothing: the service is as before."""
        if self._ready and not self._stopping:
            refused = event.outcome == "failure"
            status = "Serving; the last reload was refused, see the log" if refused else "Serving"
            self._send(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        """The end was asked for; nothing takes that back."""
        self._stopping = True
        self._send("STOPPING=1\nSTATUS=Finishing requests in flight")

    def _beat(self) -> None:
        if not self._waiting:
            self._send("WATCHDOG=1")
        self._timer = asyncio.get_running_loop().call_later(self._heartbeat_seconds, self._beat)

    def _send(self, message: str) -> None:
        if self._address:
            self._waiting.append(message)
            if len(self._waiting) == 1:
                self._send_waiting()

    def _send_waiting(self) -> None:
        """In order; what a full queue does not take now is sent a little later."""
        if not self._address:
            return
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            while self._waiting:
                self._socket.sendto(self._waiting[0].encode(), self._address)
                del self._waiting[0]
        except BlockingIOError:
            asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._send_waiting)
        except OSError:
            self._waiting.clear()  # nobody listens there (any more)


def _address(text: str) -> str:
    """A path, or an abstract name (`@…`), as `sendto` takes it; "" if it is neither."""
    if text.startswith("@") and len(text) > 1:
        return "\0" + text[1:]
    return text if text.startswith("/") else ""


def _heartbeat_seconds(environ: Mapping[str, str]) -> float:
    """Half the longest silence that the manager accepts of this process; 0 if it waits for none."""
    microseconds, process = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if process and process != str(os.getpid()):
        return 0.0
    known = microseconds.isascii() and microseconds.isdigit()
    return int(microseconds) / _MICROSECONDS / 2 if known else 0.0

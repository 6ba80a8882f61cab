"""The gateway as a process whose name server is a file, and whose connections may age faster.

`python -m tests.support.resolver_gateway HOSTS MAX_AGE serve --config FILE`

HOSTS is a JSON object, read at each look-up: a name's addresses, or `{"after": SECONDS,
"addresses": […]}` for an answer that takes its time. Without addresses a name does not resolve.
Each look-up is a line in HOSTS.asked.
"""

import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

from gateway.cli import main
from gateway.network import resolver
from gateway.upstream.transport import PoolLimits

_resolve = socket.getaddrinfo


class FileResolver:
    """In the place of `socket.getaddrinfo`: names from the file, addresses as ever."""

    def __init__(self, hosts: Path) -> None:
        self._hosts = hosts

    def __call__(self, host: Any, port: Any, *args: Any, **hints: Any) -> list[Any]:
        known = json.loads(self._hosts.read_text()).get(host)
        if known is None:
            return _resolve(host, port, *args, **hints)
        with self._hosts.with_suffix(".asked").open("a") as asked:
            asked.write(f"{host}\n")
        if isinstance(known, dict):
            time.sleep(known["after"])
            known = known["addresses"]
        if not known:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port or 0))
            for address in known
        ]


if __name__ == "__main__":
    socket.getaddrinfo = FileResolver(Path(sys.argv.pop(1)))
    resolver.KEPT = 0.1  # type: ignore[misc]
    defaults = PoolLimits()._replace(max_age=float(sys.argv.pop(1)))
    PoolLimits.__new__.__defaults__ = tuple(defaults)
    main()

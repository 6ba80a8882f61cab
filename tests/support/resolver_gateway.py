"""The gateway as a process whose resolver is a file, and whose connections may age faster.

`python -m tests.support.resolver_gateway HOSTS MAX_AGE serve --config FILE`; HOSTS is a JSON object
of names with their addresses, read at each look-up.
"""

import json
import socket
import sys
from pathlib import Path
from typing import Any

import uvloop

from gateway.cli import main
from gateway.upstream.transport import PoolLimits


class _Loop(uvloop.Loop):
    """Looks names up in the file first."""

    hosts: Path

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> Any:
        addresses = json.loads(self.hosts.read_text()).get(host, [host])
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for address in addresses
        ]


if __name__ == "__main__":
    _Loop.hosts = Path(sys.argv.pop(1))
    defaults = PoolLimits()._replace(max_age=float(sys.argv.pop(1)))
    PoolLimits.__new__.__defaults__ = tuple(defaults)
    uvloop.new_event_loop = _Loop
    main()

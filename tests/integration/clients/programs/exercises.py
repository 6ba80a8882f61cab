"""The four requests that every program here makes, and how it prints what it saw of each."""

import os
import sys
from collections.abc import Callable

URL = os.environ["URL"]
FORM = os.environ["FORM"]
SOCKET = os.environ.get("CLIENT_SOCKET", "")
CERTIFICATE = os.environ.get("CLIENT_CERTIFICATE", "")
CA = os.environ.get("CLIENT_CA", "")

# Method, path, headers, body, and the longest wait for a reply in seconds: the status.
Send = Callable[[str, str, dict[str, str], bytes, float], int]


def exercises(send: Send) -> None:
    """GET, a POST of 5 MiB, a GET given up after a while, a POST of 30 MiB, which is too much."""
    for name, method, size, wait in (
        ("get", "GET", 0, 30.0),
        ("post", "POST", 5 << 20, 30.0),
        ("cancelled", "GET", 0, 3.0),
        ("refused", "POST", 30 << 20, 30.0),
    ):
        headers = {"X-Request-Id": f"{os.environ['LABEL']}-{name}"}
        if os.environ["AUTHORIZATION"]:
            headers["Authorization"] = os.environ["AUTHORIZATION"]
        try:
            seen = str(send(method, f"/{name}", headers, bytes(size), wait))
        except Exception as error:
            seen = type(error).__name__
        sys.stdout.write(f"{name} {seen}\n")

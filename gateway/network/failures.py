"""Why a connection did not come about: one kind, and one line for operators.

Rule: the words are the resolver's, the system's or OpenSSL's; nothing that was sent or received.
"""

import os
import socket
import ssl

from gateway.errors import ConnectFailure


def kind_of(error: Exception) -> ConnectFailure:
    """`dns`, `connect_timeout`, `connect_refused`, `tls` or `connect`."""
    if isinstance(error, socket.gaierror):
        return "dns"
    if isinstance(error, TimeoutError):
        return "connect_timeout"
    if isinstance(error, ConnectionRefusedError):
        return "connect_refused"
    return "tls" if isinstance(error, ssl.SSLError) else "connect"


def told(kind: str, name: str, reason: str = "") -> str:
    """The line: the kind, whom it was about (a name, perhaps with its port), and why."""
    return f"{kind}: {name}: {reason}" if reason else f"{kind}: {name}"


def reason_of(error: Exception) -> str:
    """Why, as far as the error says more than its kind does."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message.rstrip(".")
    if isinstance(error, ssl.SSLError):
        return (error.reason or "").lower().replace("_", " ")
    if isinstance(error, socket.gaierror):
        return error.strerror or ""
    if isinstance(error, ConnectionResetError):
        return "broken off"
    if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionRefusedError):
        return os.strerror(error.errno)
    return ""

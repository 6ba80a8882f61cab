"""Handshakes of callers that failed: why, counted exactly, and logged not too often.

Rule: decides and emits; does no I/O.
"""

import ssl
from collections.abc import Callable
from typing import Final

from gateway.events import Emit, TlsFailureReason, TlsHandshakeFailed
from gateway.server.sparse_lines import SparseLines

# X509_V_ERR_… of OpenSSL's x509_vfy.h
_VERIFY: Final[dict[int, TlsFailureReason]] = {
    9: "certificate_not_yet_valid",
    10: "certificate_expired",
    **dict.fromkeys((2, 18, 19, 20, 21, 27), "certificate_unknown_ca"),
}
_VERSIONS: Final = frozenset(
    {"UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW", "WRONG_SSL_VERSION", "NO_PROTOCOLS_AVAILABLE"}
)
_NOTHING_SHARED: Final = frozenset(
    {
        *("NO_SHARED_CIPHER", "NO_SHARED_GROUP", "NO_SUITABLE_KEY_SHARE"),
        *("NO_SUITABLE_SIGNATURE_ALGORITHM", "NO_SHARED_SIGNATURE_ALGORITHMS"),
    }
)


def why(error: ssl.SSLError) -> TlsFailureReason:
    """The reason for a failed handshake, one of a closed list."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY.get(error.verify_code, "certificate_invalid")
    reason = error.reason or ""
    if reason in _VERSIONS:
        return "protocol_version"
    if reason in _NOTHING_SHARED:
        return "no_shared_cipher"
    if reason == "CALLBACK_FAILED":
        return "server_name"
    if "ALERT" in reason:
        return "alert_received"
    if isinstance(error, ssl.SSLEOFError) or reason == "UNEXPECTED_EOF_WHILE_READING":
        return "closed"
    return "malformed"


class TlsFailures:
    """The failed handshakes of one listener. `clock` is monotonic, in seconds."""

    def __init__(self, listener: str, emit: Emit, clock: Callable[[], float]) -> None:
        self._listener = listener
        self._emit = emit
        self._lines = SparseLines("tls_handshake_failed", listener, emit, clock)

    def add(self, peer: str, reason: TlsFailureReason, detail: str = "") -> None:
        """Counts one, and logs it if it is due. `detail` is OpenSSL's own words."""
        self._emit(TlsHandshakeFailed(self._listener, reason))
        self._lines.add(peer, reason, detail=detail)

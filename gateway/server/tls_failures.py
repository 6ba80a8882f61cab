"""Handshakes of callers that failed: why, counted exactly, and logged not too often.

Rule: decides and emits; does no I/O.
"""

import ssl
from collections.abc import Callable
from typing import Any, Final

from gateway.events import Emit, Noticed, TlsFailureReason, TlsHandshakeFailed

EVERY: Final = 60.0  # seconds between two lines about one peer and reason
MOST_LINES: Final = 10  # per second, of all peers together
_MOST_KNOWN: Final = 1024

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
        self._clock = clock
        self._next: dict[tuple[str, str], float] = {}  # when a line may follow, by peer and reason
        self._second = 0.0
        self._lines = 0
        self._unlogged = 0

    def add(self, peer: str, reason: TlsFailureReason, detail: str = "") -> None:
        """Counts one, and logs it if it is due. `detail` is OpenSSL's own words."""
        self._emit(TlsHandshakeFailed(self._listener, reason))
        if not self._due(peer, reason):
            self._unlogged += 1
            return
        fields: dict[str, Any] = {"listener": self._listener, "peer": peer, "reason": reason}
        if detail:
            fields["detail"] = detail
        if self._unlogged:
            fields["unlogged"] = self._unlogged
            self._unlogged = 0
        self._emit(Noticed("tls_handshake_failed", "warning", fields))

    def _due(self, peer: str, reason: str) -> bool:
        now, about = self._clock(), (peer, reason)
        if now < self._next.get(about, now):
            return False
        if now >= self._second + 1.0:
            self._second, self._lines = now, 0
        if self._lines >= MOST_LINES:
            return False
        self._lines += 1
        self._next.pop(about, None)
        if len(self._next) >= _MOST_KNOWN:
            del self._next[next(iter(self._next))]
        self._next[about] = now + EVERY
        return True

"""Failed handshakes: counted exactly, logged once a minute for each peer and reason."""

import ssl

import pytest

from gateway.events import Event, Noticed, TlsHandshakeFailed
from gateway.server.tls_failures import TlsFailures, why


class Clock:
    """Monotonic seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def failures(events: list[Event], clock: Clock) -> TlsFailures:
    return TlsFailures("callers", events.append, clock)


def lines(events: list[Event]) -> list[dict[str, object]]:
    """The fields of the log's lines."""
    return [event.fields for event in events if isinstance(event, Noticed)]


def test_each_is_counted_and_the_first_is_logged(
    failures: TlsFailures, events: list[Event], clock: Clock
) -> None:
    """A line says who, why, and how many others had none since the last."""
    for _ in range(5):
        failures.add("10.0.0.1", "certificate_expired", "certificate has expired")
    failures.add("10.0.0.1", "closed")
    failures.add("10.0.0.2", "closed")
    counted = [event for event in events if isinstance(event, TlsHandshakeFailed)]
    assert counted.count(TlsHandshakeFailed("callers", "certificate_expired")) == 5
    common = {"listener": "callers", "peer": "10.0.0.1"}
    assert lines(events) == [
        common | {"reason": "certificate_expired", "detail": "certificate has expired"},
        common | {"reason": "closed", "unlogged": 4},
        {"listener": "callers", "peer": "10.0.0.2", "reason": "closed"},
    ]
    clock.now += 61
    failures.add("10.0.0.1", "closed")
    assert len(lines(events)) == 4


def test_many_peers_make_few_lines(
    failures: TlsFailures, events: list[Event], clock: Clock
) -> None:
    """Ten a second, however many come; and what is known of them is bounded."""
    for number in range(5000):
        failures.add(f"peer-{number}", "closed")
    assert len(lines(events)) == 10
    for number in range(3000):
        clock.now += 0.11
        failures.add(f"other-{number}", "closed")
    assert len(failures._lines._next) == 1024
    assert len(lines(events)) > 2000


def error(reason: str, kind: type[ssl.SSLError] = ssl.SSLError) -> ssl.SSLError:
    made = kind(1, reason)
    made.reason = reason
    return made


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("UNSUPPORTED_PROTOCOL", "protocol_version"),
        ("NO_SHARED_CIPHER", "no_shared_cipher"),
        ("TLSV1_ALERT_UNKNOWN_CA", "alert_received"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "alert_received"),
        ("UNEXPECTED_EOF_WHILE_READING", "closed"),
        ("WRONG_VERSION_NUMBER", "malformed"),
        ("", "malformed"),
    ],
)
def test_the_reason(reason: str, told: str) -> None:
    """From OpenSSL's words."""
    assert why(error(reason)) == told


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (9, "certificate_not_yet_valid"),
        (10, "certificate_expired"),
        (18, "certificate_unknown_ca"),
        (19, "certificate_unknown_ca"),
        (20, "certificate_unknown_ca"),
        (26, "certificate_invalid"),
    ],
)
def test_a_certificate_that_is_not_accepted(code: int, told: str) -> None:
    """By the code of its verification."""
    made = error("CERTIFICATE_VERIFY_FAILED", ssl.SSLCertVerificationError)
    made.verify_code = code  # type: ignore[attr-defined]
    assert why(made) == told

"""The sum that `check` prints: made of the settings, and of the bounds that the code really has."""

from typing import Any

import pytest

from gateway import inbound
from gateway.cli import worst_case as bounds
from gateway.cli.worst_case import worst_case
from gateway.identity import verifier
from gateway.observe import audit_file, otlp, writer
from gateway.server import connection, reply
from gateway.settings.schema import Settings
from gateway.upstream import reply_parser, reply_stream, wire

OPEN_FILES = 1024


def table(**sections: Any) -> dict[str, int]:
    """The table for the default settings with these changes."""
    return dict(worst_case(Settings.model_validate(sections), OPEN_FILES))


def test_bounds_are_the_rooms_own() -> None:
    """A buffer that is made larger makes the sum larger."""
    assert connection.HIGH_WATER == bounds.CALLER_BUFFER
    assert inbound.REPLAY_LIMIT == bounds.REPLAY
    assert reply_stream.HIGH_WATER == bounds.REPLY_BUFFER
    assert wire.HIGH_WATER == bounds.UPSTREAM_BUFFER
    assert reply_parser.MAX_HEAD == bounds.REPLY_HEAD
    assert reply.HELD == bounds.HELD
    assert verifier.MOST_REMEMBERED_TOKENS == bounds.VERDICTS
    assert writer.LIMIT == bounds.LOG
    assert audit_file.LIMIT == bounds.AUDIT
    assert otlp.QUEUE == bounds.TRACES


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        ({"limits": {"max_header_bytes": 65536}}, "callers' connections"),
        ({"limits": {"max_in_flight": 4096}}, "requests in flight"),
        ({"upstream": {"max_connections": 512}}, "replies in flight"),
        ({"upstream": {"max_connections": 512}}, "connections to Invopop and file hosts"),
        ({"metrics": {"max_series": 40000}}, "metrics"),
        ({"audit": {"file": "audit.jsonl"}}, "log lines not written yet"),
        ({"tracing": {"endpoint": "http://localhost:4318"}}, "traces not exported yet"),
    ],
)
def test_settings_count(changes: dict[str, Any], row: str) -> None:
    """Whoever allows more sees more."""
    assert table(**changes)[row] > table()[row]


def test_every_connection_counts() -> None:
    """Without a setting of their own, connections are bounded by the process's open files."""
    more = dict(worst_case(Settings(), 2 * OPEN_FILES))["callers' connections"]
    assert more == 2 * table()["callers' connections"]


def test_defaults_fit_a_small_machine() -> None:
    """The defaults hold under 1 GiB even if every bound is met at once."""
    assert sum(table().values()) < 2**30


def test_bodies_do_not_count() -> None:
    """Bodies stream: how large they may be costs nothing."""
    assert table(limits={"max_body": 0}) == table()


def test_what_a_way_of_listening_costs() -> None:
    """TLS takes buffers for each connection; over a Unix socket short replies are held whole."""
    plain = dict(worst_case(Settings(), 100))
    tls = Settings.model_validate({"listen": {"tls_certificate": "/c", "tls_key": "/k"}})
    local = Settings.model_validate({"listen": {"socket": "/s"}})
    more = dict(worst_case(tls, 100))["callers' connections"] - plain["callers' connections"]
    assert more == 100 * bounds.CALLER_TLS
    more = dict(worst_case(local, 100))["replies in flight"] - plain["replies in flight"]
    assert more == (256 + 2 * 64) * bounds.HELD  # to Invopop, and to the two file hosts

"""Callers and issuers as rows."""

from datetime import date
from typing import Any

from gateway.admin.configuration import MOST, issuers
from gateway.admin.history import History, RecentEvents, Usage
from gateway.events import Events, JwksRefreshed
from gateway.identity.authenticator import IssuerState
from gateway.settings.schema import Settings
from tests.support.caller_rows import rows_of

HASH = "sha256:" + "ab" * 32
ISSUER = {"issuer": "https://id", "audience": "us", "algorithms": ["RS256", "ES256"]}


def settings(**tables: object) -> Settings:
    """Settings with these callers, and perhaps issuers."""
    return Settings.model_validate({"callers": tables.pop("callers"), **tables})


def used(requests: int, last: float) -> Usage:
    """What a caller did."""
    usage = Usage()
    usage.requests, usage.last = requests, last
    return usage


def test_each_way_to_be_known_is_told() -> None:
    """Tokens, tokens of an issuer, certificates and addresses; rules by their number."""
    every = {
        "tokens": [{"hash": HASH, "expires": date(2031, 5, 1)}],
        "networks": ["10.0.0.0/8", "unix:1000"],
        "certificates": ["spiffe://a", "spiffe://b"],
        "tenants": [f"t{number}" for number in range(11)],
        "allow": ["silo.*"],
        "deny": ["access.*"],
        "enforce": False,
    }
    made = settings(callers={"every": every}, issuers=[{**ISSUER, "discovery": True}])
    (row,) = rows_of(made, History(), 0.0).rows
    assert row.known_by == (
        "1 token, first ends 2031-05-01",
        "JSON Web Token",
        "2 certificates",
        "10.0.0.0/8",
        "unix:1000",
    )
    assert (len(row.tenants), row.more_tenants) == (8, 3)
    assert (row.allowed, row.enforced) == ("1 rule, 1 denied", False)
    assert (row.requests, row.last_seen) == (0, None)


def test_a_caller_that_lists_no_issuer_is_not_known_by_one() -> None:
    """An empty list believes nobody; left out, with two issuers, it does neither."""
    two = [{**ISSUER, "discovery": True}, {**ISSUER, "issuer": "https://b", "discovery": True}]
    made = settings(callers={"a": {"issuers": []}, "b": {}, "c": {"issuers": ["https://b"]}},
                    issuers=two)  # fmt: skip
    known = {row.name: row.known_by for row in rows_of(made, History(), 0.0).rows}
    assert known == {"a": (), "b": (), "c": ("JSON Web Token",)}


def test_those_seen_last_come_first_and_few_are_shown() -> None:
    """However many are configured; strangers are counted apart, and callers that are gone not."""
    history = History()
    history.usage |= {"c7": used(3, 50.0), "c9": used(1, 90.0), "": used(4, 1.0),
                      "gone": used(9, 99.0)}  # fmt: skip
    found = rows_of(settings(callers={f"c{n}": {} for n in range(200)}), history, 1000.0)
    assert (found.total, found.unknown, len(found.rows)) == (200, 4, MOST)
    assert [row.name for row in found.rows[:3]] == ["c9", "c7", "c0"]
    assert found.rows[0].last_seen == 1090.0


def test_issuers_tell_how_their_keys_stand() -> None:
    """Fetched, not yet, or not any more and why; files are as they were read."""
    events, recent_events = Events(), RecentEvents()
    recent_events.subscribe(events)
    events.emit(JwksRefreshed("https://id", "failure", "timeout"))
    origins: tuple[dict[str, Any], ...] = (
        {"discovery": True},
        {"jwks_url": "https://b/k?x=y"},
        {"jwks_file": "/etc/k.json"},
    )
    names = ("https://id", "https://b", "https://c")
    tables = [{**ISSUER, "issuer": n, **o} for n, o in zip(names, origins, strict=True)]
    states = (IssuerState("https://id", True, False), IssuerState("https://b", False, False))
    rows = issuers(settings(callers={}, issuers=tables), states, recent_events)
    assert [(row.keys, row.state, row.reason) for row in rows] == [
        ("OpenID discovery", "failing", "timeout"),
        ("https://b/k", "pending", ""),
        ("file k.json", "ok", ""),
    ]
    assert rows[0].refreshed_at is not None
    assert rows[0].algorithms == "RS256, ES256"


def test_a_fetch_that_succeeds_again_takes_the_reason_away() -> None:
    """Only the last one counts."""
    events, recent_events = Events(), RecentEvents()
    recent_events.subscribe(events)
    events.emit(JwksRefreshed("https://id", "failure", "timeout"))
    events.emit(JwksRefreshed("https://id", "success"))
    assert recent_events.refreshes["https://id"].reason == ""

"""What the page says first: what needs somebody."""

from dataclasses import replace

import pytest

from gateway.admin import concerns
from gateway.admin.health import Check
from gateway.admin.view import Concern, Status
from tests.support.example_status import status_of

NOW = 1_800_000_000.0
SOME = status_of("x", number=0)
# Nothing to look at in any part.
WELL = replace(
    SOME,
    state="ready",
    checks=(Check("vault", "ok", ""),),
    upstream=replace(
        SOME.upstream, circuit="closed", file_hosts_open=(), last_failed_at=NOW - 61
    ),
    tenants=replace(SOME.tenants, total=2),
    callers=replace(
        SOME.callers, total=1, rows=(replace(SOME.callers.rows[0], enforced=True),)
    ),
    issuers=(replace(SOME.issuers[0], state="ok"),),
    configuration=replace(SOME.configuration, reload="success", restart_required=()),
)  # fmt: skip


def told(status: Status) -> list[Concern]:
    """Every concern about a status."""
    return [
        *concerns.health_concerns(status.state, status.checks),
        *concerns.upstream_concerns(status.upstream, status.traffic, NOW),
        *concerns.tenants_concerns(status.tenants),
        *concerns.callers_concerns(status.callers, status.issuers),
        *concerns.configuration_concerns(status.configuration),
    ]


TROUBLES = {
    "draining": (replace(WELL, state="draining"), "warn", "drains"),
    "pending": (replace(WELL, checks=(Check("vault", "pending", ""),)), "warn", "not tried yet"),
    "degraded": (
        replace(WELL, checks=(Check("vault", "degraded", "openbao unavailable"),)),
        "warn",
        "openbao unavailable",
    ),
    "circuit": (
        replace(WELL, upstream=replace(WELL.upstream, circuit="open")),
        "bad",
        "circuit is open",
    ),
    "circuit of files": (
        replace(WELL, upstream=replace(WELL.upstream, file_hosts_open=("files.test",))),
        "bad",
        "The circuit of the file host files.test",
    ),
    "name": (
        replace(
            WELL,
            upstream=replace(WELL.upstream, last_failed_kind="dns", last_failed_at=NOW - 59),
        ),
        "warn",
        "A name could not be resolved",
    ),
    "waiting": (
        replace(WELL, upstream=replace(WELL.upstream, waiting=7)),
        "warn",
        "7 requests wait",
    ),
    "failing": (
        replace(WELL, traffic=replace(WELL.traffic, requests=100, failed=6)),
        "bad",
        "6% of the last minute's",
    ),
    "key": (
        replace(WELL, tenants=replace(WELL.tenants, troubled=1)),
        "bad",
        "1 tenant has trouble",
    ),
    "ending": (
        replace(WELL, tenants=replace(WELL.tenants, ending=1200)),
        "warn",
        "1,200 tenants have a key that expires",
    ),
    "no tenant": (
        replace(WELL, tenants=replace(WELL.tenants, total=0, discovery="")),
        "warn",
        "no tenant",
    ),
    "no caller": (
        replace(WELL, callers=replace(WELL.callers, total=0, rows=())),
        "warn",
        "No caller",
    ),
    "watched": (
        replace(WELL, callers=replace(WELL.callers, rows=SOME.callers.rows)),
        "warn",
        "not enforced for x",
    ),
    "issuer": (
        replace(WELL, issuers=(replace(WELL.issuers[0], state="failing", reason="timeout"),)),
        "warn",
        "The keys of x were not refreshed: timeout",
    ),
    "reload": (
        replace(WELL, configuration=replace(WELL.configuration, reload="failure")),
        "bad",
        "last reload was refused",
    ),
    "restart": (
        replace(WELL, configuration=replace(WELL.configuration, restart_required=("admin.port",))),
        "warn",
        "admin.port",
    ),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_each_trouble_is_told_with_what_to_do(name: str) -> None:
    """One trouble, one concern, of its level."""
    status, level, words = TROUBLES[name]
    (concern,) = told(status)
    assert concern.level == level
    assert words in concern.what
    assert concern.advice


def test_where_all_is_well_nothing_is_told() -> None:
    """Nobody is called for nothing; a few failures among many requests are no concern."""
    few = replace(WELL.traffic, requests=100, failed=5)
    assert told(WELL) == told(replace(WELL, traffic=few)) == []


def test_certificates_that_expire() -> None:
    """Soon is a warning, past is worse, and each says what to do."""
    day = 86400.0
    ends = {"listen.tls_certificate": 29 * day, "tunnel.certificate": -day, "far": 31 * day}
    soon, past = concerns.certificates_concerns(ends, 0.0)
    assert (soon.level, past.level) == ("warn", "bad")
    assert soon.what == "The certificate of listen.tls_certificate expires on 1970-01-30."
    assert past.what == "The certificate of tunnel.certificate expired on 1969-12-31."
    assert "no restart" in soon.advice
    assert "invopop-gateway tunnel-ca" in past.advice

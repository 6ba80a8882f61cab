"""When an issued key is renewed, and when it is let go."""

import pytest

from gateway.vault import renewal
from gateway.vault.key_ring import KeyLife, Slot, SlotFailure
from gateway.vault.renewal import Step, new_term, next_look, step
from tests.support.vaults import key_source, vault_settings

NOW = 1000.0
SETTINGS = vault_settings(refresh=300.0, negative_ttl=30.0).vault


@pytest.fixture(autouse=True)
def _late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jitter at its latest."""
    monkeypatch.setattr(renewal.random, "uniform", lambda _, high: high)  # type: ignore[attr-defined]


def slot(
    term: KeyLife | None = None, failure: SlotFailure | str = "", retry_at: float = NOW
) -> Slot:
    """One whose last read ended so."""
    made = Slot("t", "key", key_source(invopop="w"), term=term, retry_at=retry_at)
    made.failure = failure  # type: ignore[assignment]
    return made


@pytest.mark.parametrize(
    ("life", "renewed_after", "used_for"),
    [
        (86_400.0, 69_120.0, 86_399.0),  # a fifth before its end
        (3600.0, 2880.0, 3599.0),
        (1500.0, 1200.0, 1499.0),
        (1000.0, 700.0, 999.0),  # 300 s before
        (600.0, 300.0, 599.0),
        (30.0, 15.0, 29.0),  # half its life, as it lives no longer than that
        (4.0, 2.0, 3.6),
        (1.0, 1.0, 0.9),  # not more often than each second
        (0.0, 1.0, 0.0),
    ],
)
def test_renewed_long_before_the_end(life: float, renewed_after: float, used_for: float) -> None:
    """At 300 s or a fifth of its life before, whichever is more, but no more than half of it."""
    term = new_term(expires_at=5000.0 + life, started=NOW, wall=5000.0)
    assert term.renew_at - NOW == pytest.approx(renewed_after)
    assert term.ends - NOW == pytest.approx(used_for)
    assert term.expires_at == 5000.0 + life


def test_renewals_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys issued at one moment are renewed over a tenth of the time until then, none later."""
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    monkeypatch.setattr(renewal.random, "uniform", uniform)  # type: ignore[attr-defined]
    assert new_term(3600.0, NOW, 0.0).renew_at - NOW == pytest.approx(2592.0)
    assert drawn == [(0.9, 1.0)]


TERM = KeyLife(ends=NOW + 100.0, renew_at=NOW - 10.0, life=3600.0, expires_at=0.0)


@pytest.mark.parametrize(
    ("term", "failure", "used_at", "expected"),
    [
        (None, "", -1e9, Step("read")),  # never issued
        (None, "unavailable", -1e9, Step("read")),
        (TERM, "", NOW - 3599.0, Step("read")),  # in use within its life
        (TERM, "unavailable", NOW, Step("read")),
        (TERM, "", NOW - 3601.0, Step("wait", NOW + 50.0)),  # nobody uses it, perhaps somebody will
        (TERM._replace(ends=NOW + 1.0), "", -1e9, Step("wait", NOW + 1.0)),
        (TERM._replace(ends=NOW), "", -1e9, Step("let_go")),
        (TERM._replace(ends=NOW, life=30.0), "", NOW - 599.0, Step("read")),  # or within 600 s
        (TERM._replace(ends=NOW, life=30.0), "", NOW - 601.0, Step("let_go")),
        (TERM._replace(renew_at=NOW + 5.0), "", NOW, Step("wait", NOW + 5.0)),  # replaced meanwhile
        (TERM._replace(renew_at=NOW + 5.0), "unavailable", NOW, Step("read")),
    ],
)
def test_only_what_is_in_use_is_renewed(
    term: KeyLife | None, failure: str, used_at: float, expected: Step
) -> None:
    """A key is renewed while its tenant uses it; else it ends, and is looked at until then."""
    assert step(slot(term, failure), used_at, NOW) == expected


@pytest.mark.parametrize(
    ("term", "failure", "retry_at", "wait"),
    [
        (TERM._replace(renew_at=NOW + 7.0), "", NOW, 7.0),
        (TERM, "unavailable", NOW, 25.0),  # four more times before its end
        (TERM._replace(ends=NOW + 2.0), "unavailable", NOW, 1.0),
        (TERM._replace(ends=NOW + 9999.0), "unavailable", NOW, 30.0),
        (TERM._replace(ends=NOW), "unavailable", NOW + 3.0, 3.0),  # when the source may be asked
        (None, "denied", NOW + 999.0, 30.0),
        (None, "not_found", NOW + 30.0, 300.0),  # what a tenant must change is seldom asked for
        (None, "disabled", NOW + 30.0, 300.0),
        (None, "malformed", NOW + 30.0, 300.0),
    ],
)
def test_after_a_failure(term: KeyLife | None, failure: str, retry_at: float, wait: float) -> None:
    """Soon while the key may end, and no more often than each second."""
    assert next_look(slot(term, failure, retry_at), SETTINGS, NOW) - NOW == pytest.approx(wait)

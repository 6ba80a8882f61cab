"""Look-ups of unlisted tenants: templates, what is remembered, and who may look."""

import pytest

from gateway.settings.vault_file import Discover
from gateway.vault import discovery as discovery_module
from gateway.vault.discovery import MISSES_AT_ONCE, MISSES_PER_SECOND, Discovery
from tests.support.vaults import vault_file


def discovery(**key: str) -> Discovery:
    """A section at work, whose misses are believed for 30 s."""
    file = vault_file(discover={"key": key or {"aws": "invopop/{tenant}"}})
    assert isinstance(file.discover, Discover)
    return Discovery(file.discover)


@pytest.mark.parametrize(
    ("template", "place"),
    [
        ({"aws": "invopop/{tenant}"}, "aws invopop/a.b-c_d"),
        ({"openbao": "kv/x/{tenant}/key", "field": "f"}, "openbao kv/x/a.b-c_d/key#f"),
        ({"gcp": "invopop-{tenant}"}, "gcp invopop-a.b-c_d"),
        ({"azure": "invopop-{tenant}"}, "azure invopop-a.b-c_d"),
    ],
)
def test_the_name_goes_into_the_template(template: dict[str, str], place: str) -> None:
    """The tenant's name takes its place, and nothing else changes."""
    assert discovery(**template).source("a.b-c_d").describe() == place


@pytest.mark.parametrize(
    ("template", "held", "never"),
    [
        ({"aws": "invopop/{tenant}"}, ["a.b", "Acme", "a" * 128], []),
        ({"openbao": "kv/{tenant}", "field": "f"}, ["a.b", "Acme", "a" * 128], []),
        ({"gcp": "invopop-{tenant}"}, ["a-b_c", "Acme", "a" * 128], ["a.b", "a."]),
        ({"gcp": "x" * 150 + "{tenant}/versions/3"}, ["a" * 105], ["a" * 106]),
        ({"gcp": "projects/p/secrets/" + "x" * 150 + "{tenant}"}, ["a" * 105], ["a" * 106]),
        ({"azure": "Invopop-{tenant}"}, ["a-b", "a" * 119], ["a.b", "a_b", "Acme", "a" * 120]),
    ],
)
def test_a_name_that_the_store_cannot_have(
    template: dict[str, str], held: list[str], never: list[str]
) -> None:
    """Each store's own rules; and of the spellings that are one secret, only one is a tenant."""
    looked = discovery(**template)
    assert [name for name in held + never if looked.may_hold(name)] == held


def test_a_miss_is_believed_for_its_time() -> None:
    """What was not found is not asked for again before `negative_ttl` is over."""
    looked = discovery()
    looked.missed("x", "not_found", 30.0)
    absent = looked.absent("x", 29.9)
    assert absent is not None
    assert absent.reason == "not_found"
    assert looked.absent("x", 30.0) is None
    assert looked.absent("y", 0.0) is None


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many absent names the oldest are forgotten."""
    monkeypatch.setattr(discovery_module, "MAX_ABSENT", 3)
    looked = discovery()
    for name in "abcde":
        looked.missed(name, "not_found", 30.0)
    assert [name for name in "abcde" if looked.absent(name, 1.0)] == ["c", "d", "e"]


def test_a_name_missed_again_is_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is asked for often is remembered while rarer ones make room."""
    monkeypatch.setattr(discovery_module, "MAX_ABSENT", 3)
    looked = discovery()
    for name in "abcad":
        looked.missed(name, "not_found", 30.0)
    assert [name for name in "abcd" if looked.absent(name, 1.0)] == ["a", "c", "d"]
    looked.missed("d", "not_found", 30.0)
    assert looked.absent("c", 1.0)


def test_misses_use_up_a_callers_look_ups() -> None:
    """A caller may miss so many times at once, then so many a second; others are not touched."""
    looked = discovery()
    taken = sum(looked.may_look("prober", 0.0) for _ in range(1000))
    assert taken == MISSES_AT_ONCE
    assert looked.may_look("honest", 0.0)
    later = sum(looked.may_look("prober", 2.0) for _ in range(1000))
    assert later == 2 * MISSES_PER_SECOND


def test_a_find_gives_the_look_up_back() -> None:
    """Tenants that exist cost nothing, and nobody can save up more than the whole."""
    looked = discovery()
    for _ in range(1000):
        assert looked.may_look("busy", 0.0)
        looked.found("busy")
    assert sum(looked.may_look("busy", 1000.0) for _ in range(1000)) == MISSES_AT_ONCE


def test_a_find_gives_one_look_up_back_to_its_caller() -> None:
    """Finding one tenant after another earns nobody a miss."""
    looked = discovery()
    for caller in ("prober", "honest"):
        assert looked.may_look(caller, 0.0)
    looked.found("prober")
    assert sum(looked.may_look("prober", 0.0) for _ in range(1000)) == MISSES_AT_ONCE
    looked.found("prober")
    assert [looked.may_look("prober", 0.0) for _ in range(2)] == [True, False]
    assert sum(looked.may_look("honest", 0.0) for _ in range(1000)) == MISSES_AT_ONCE - 1

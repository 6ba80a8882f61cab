"""Tenants that `[discover]` found, as many as may be held: who makes room for whom."""

from gateway.vault.discovery import DRAWN, DiscoveredTenants
from gateway.vault.key_ring import KeyRing, Slot
from tests.support.vaults import key_source


def ring(tenant: str, used_at: float) -> KeyRing:
    """A tenant whose key was last asked for then."""
    return KeyRing((Slot(tenant, "key", key_source(aws=tenant)),), used_at=used_at)


def test_who_was_not_used_for_longest_makes_room() -> None:
    """Not who was found first; and whoever makes room is read no more."""
    found = DiscoveredTenants()
    rings = {name: ring(name, at) for at, name in enumerate("abcd")}
    for name in "abc":
        found.add(rings[name], 3)
    rings["a"].used_at = 9.0
    found.add(rings["d"], 3)
    assert sorted(found.tenants()) == ["a", "c", "d"]
    assert [name for name in "abcd" if rings[name].slots[0].retired] == ["b"]
    assert (found.get("a"), found.get("b"), "b" in found) == (rings["a"], None, False)


def test_who_is_in_use_stays_however_many_come() -> None:
    """Of very many the few that are used are never drawn beside others only."""
    found = DiscoveredTenants()
    used = [ring(f"used-{n}", 1e9) for n in range(DRAWN - 1)]
    for number in range(2_000):
        if number < len(used):
            found.add(used[number], 100)
        found.add(ring(f"new-{number}", float(number)), 100)
        assert len(found.tenants()) <= 100
    assert all(one.slots[0].tenant in found for one in used)


def test_any_may_leave_and_the_rest_can_be_drawn() -> None:
    """After removals in any order what is held, and what may make room, are the same tenants."""
    found = DiscoveredTenants()
    for number in range(6):
        found.add(ring(str(number), float(number)), 6)
    for name in ("5", "0", "2"):
        found.remove(name)
    for number in range(6, 12):
        found.add(ring(str(number), float(number)), 4)
    assert sorted(found.tenants(), key=int) == ["8", "9", "10", "11"]
    assert sorted(found.copy(), key=int) == sorted(found.tenants(), key=int)


def test_more_than_one_makes_room_where_fewer_may_be_held() -> None:
    """A smaller bound holds from the next tenant on."""
    found = DiscoveredTenants()
    for number in range(6):
        found.add(ring(str(number), float(number)), 6)
    found.add(ring("6", 6.0), 2)
    assert sorted(found.tenants()) == ["5", "6"]

"""What the vault tells of all tenants at once."""

import jwt

from gateway.model import Key
from gateway.pin import Pin
from gateway.secret import Secret
from gateway.settings.vault_file import SharingEntry
from gateway.vault.key_ring import KeyRing, Slot, SlotFailure
from gateway.vault.report import DAY, KeyState, Now, survey
from gateway.vault.sharing import Sharing
from tests.support.growth import growth
from tests.support.vaults import key_source

NOW = Now(monotonic=1000.0, wall=2_000_000_000.0)
NOBODY = Sharing({}, {})


def ring(
    name: str,
    *,
    used_at: float = 0.0,
    expires_in: float | None = None,
    failure: SlotFailure | None = None,
) -> KeyRing:
    """A ring of one slot, read 100 s ago."""
    slot = Slot(name, "key", key_source(file=f"/run/secrets/{name}.key"))
    claims = {} if expires_in is None else {"exp": int(NOW.wall + expires_in)}
    slot.loaded(Secret(jwt.encode(claims, "k" * 32, algorithm="HS256")), NOW.monotonic - 100)
    if failure:
        slot.failed(failure, 0.0)
    return KeyRing((slot,), used_at=used_at)


def names(states: tuple[KeyState, ...]) -> list[str]:
    """The tenants, in the order told."""
    return [state.tenant for state in states]


def test_those_that_matter_come_first() -> None:
    """In trouble, then ending soon, then last used; all are counted, few are shown."""
    rings = [
        ring("quiet", used_at=1.0),
        ring("busy", used_at=999.0),
        ring("ending", expires_in=13 * DAY),
        ring("failing", failure="unavailable"),
    ]
    told = survey(rings, NOBODY, NOW, 3)
    assert (told.total, told.troubled, told.ending) == (4, 1, 1)
    assert names(told.states) == ["failing", "ending", "busy"]


def test_times_are_told_as_dates() -> None:
    """When a key was last read and last used, on the wall's clock; never is None."""
    (used,) = survey([ring("a", used_at=990.0)], NOBODY, NOW, 9).states
    assert (used.used_at, used.read_at) == (NOW.wall - 10, NOW.wall - 100)
    never = KeyRing((Slot("b", "key", key_source(env="B")),))
    (unused,) = survey([never], NOBODY, NOW, 9).states
    assert (unused.used_at, unused.read_at, unused.state) == (None, None, "loading")


def test_a_rejected_key_is_trouble() -> None:
    """What Invopop answered 401 to is told as such."""
    one = ring("acme")
    key = one.current(0.0)
    assert isinstance(key, Key)
    one.reject(key, 5.0)
    told = survey([one], NOBODY, NOW, 9)
    assert (told.troubled, told.states[0].state) == (1, "rejected")


def test_no_key_and_no_directory_is_told() -> None:
    """A key shows as its fingerprint, a file as its name."""
    one = ring("acme")
    secret = one.slots[0].key
    assert secret is not None
    text = repr(survey([one], NOBODY, NOW, 9))
    assert secret.secret.reveal() not in text
    assert secret.fingerprint in text
    assert "/run/secrets" not in text
    assert "file acme.key" in text


def test_a_hundred_thousand_tenants_are_surveyed_at_once() -> None:
    """The cost grows with the number of tenants only: some ten times for ten times as many."""
    slot = Slot("t", "key", key_source(env="K"))
    rings = [KeyRing((slot,), used_at=float(n % 977)) for n in range(100_000)]
    assert growth(lambda some: survey(some, NOBODY, NOW, 50), rings[:10_000], rings) < 25
    told = survey(rings, NOBODY, NOW, 50)
    assert (told.total, len(told.states)) == (100_000, 50)


def test_all_that_is_told_of_a_slot() -> None:
    """Which one, where its key is, and when that ends; pinned or not; a failure is no rejection."""
    one = ring("acme", expires_in=13 * DAY)
    (slot,) = one.slots
    secret = slot.key
    assert secret is not None
    (state,) = survey([one], NOBODY, NOW, 9).states
    assert state == KeyState(
        tenant="acme", slot="key", source="file acme.key", fingerprint=secret.fingerprint,
        expires_at=NOW.wall + 13 * DAY, pinned=False, state="ok",
        read_at=NOW.wall - 100, used_at=NOW.wall - 1000,
    )  # fmt: skip
    pinned = Slot("b", "previous", key_source(file="/run/b.json", field="f"), pin=Pin("w-1"))
    pinned.failed("denied", 0.0)
    told = survey([KeyRing((pinned,))], NOBODY, NOW, 9)
    (state,) = told.states
    assert (state.slot, state.source, state.pinned) == ("previous", "file b.json#f", True)
    assert (told.ending, state.state) == (0, "denied")


def test_tenants_that_share_a_key_are_shown_once_used() -> None:
    """With the state of the key, which counts once, and whose it is; listed ones are counted."""
    es = ring("es", failure="unavailable")
    uses = {name: SharingEntry(use="es") for name in ("a", "b", "hotel-*")}
    sharing = Sharing(uses, {"es": es})
    assert names(survey([es], sharing, NOW, 9).states) == ["es"]
    for name, at in (("a", 990.0), ("hotel-7", 995.0)):
        found = sharing.find(name)
        assert found is not None
        found.current(at)
    told = survey([ring("quiet"), es], sharing, NOW, 9)
    assert (told.total, told.troubled) == (5, 1)
    assert names(told.states) == ["es", "hotel-7", "a", "quiet"]
    shared = told.states[1]
    assert (shared.source, shared.used_at) == ("use es", NOW.wall - 5)
    assert shared.fingerprint == told.states[0].fingerprint

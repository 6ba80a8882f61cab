"""The ring's decisions, as tables of what happened and what follows."""

from typing import get_args

from gateway.model import Key, SlotName
from gateway.pin import Pin
from gateway.secret import Secret
from gateway.vault.key_ring import KeyRing, NeedsRead, Slot, Unavailable
from tests.support.vaults import key_source

SOURCE = key_source(env="ACME")
MAX_AGE = 100.0
PIN = Pin("workspace-1")


def slot(name: SlotName = "key", *, pin: Pin | None = None, max_age: float = MAX_AGE) -> Slot:
    """A slot that was never read."""
    return Slot("acme", name, SOURCE, pin, max_age)


def ring_of(*values: str) -> KeyRing:
    """A ring whose slots were loaded at 0 with these values."""
    slots = tuple(slot(name) for name, _ in zip(get_args(SlotName), values, strict=False))
    for one, value in zip(slots, values, strict=True):
        one.loaded(Secret(value), 0.0)
    return KeyRing(slots)


def sent(ring: KeyRing, now: float = 1.0) -> str:
    """The value that would be sent now."""
    key = ring.current(now)
    assert isinstance(key, Key), key
    return key.secret.reveal()


def key_of(ring: KeyRing, now: float = 1.0) -> Key:
    """The key that would be sent now."""
    key = ring.current(now)
    assert isinstance(key, Key), key
    return key


def tried_after(ring: KeyRing, key: Key, now: float) -> str | None:
    """The value tried after Invopop rejected `key`, if any."""
    ring.reject(key, now)
    other = ring.alternative(key, now)
    return other.secret.reveal() if other is not None else None


def test_nothing_is_sent_before_a_read() -> None:
    """A ring that was never read asks to be."""
    ring = KeyRing((slot(), slot("previous")))
    assert ring.current(0.0) == NeedsRead(ring.slots)


def test_the_key_in_use_is_preferred() -> None:
    """`key` is sent, `previous` waits."""
    assert sent(ring_of("new", "old")) == "new"


def test_previous_serves_while_the_key_cannot_be_had() -> None:
    """A tenant whose `key` cannot be read goes on with `previous`, which is still valid."""
    ring = KeyRing((slot(), slot("previous")))
    ring.slots[0].failed("not_found", 30.0)
    ring.slots[1].loaded(Secret("old"), 0.0)
    assert sent(ring) == "old"


def test_a_rejected_key_gives_way_to_the_other_and_it_is_remembered() -> None:
    """After a 401 the other slot is tried, and goes on being used."""
    ring = ring_of("new", "old")
    assert tried_after(ring, key_of(ring), 2.0) == "old"
    assert sent(ring, 3.0) == "old"


def test_the_other_key_is_tried_again_when_its_time_has_come() -> None:
    """Case 164: a new key that was rejected too early is tried when the old one is revoked."""
    ring = ring_of("new", "old")
    tried_after(ring, key_of(ring), 2.0)
    assert tried_after(ring, key_of(ring, 2.1), 2.2) == "new"
    assert sent(ring, 3.0) == "new"


def test_a_new_value_forgets_the_rejection() -> None:
    """A key that changed at its source is tried first again."""
    ring = ring_of("new", "old")
    ring.reject(key_of(ring), 2.0)
    ring.slots[0].loaded(Secret("newer"), 3.0)
    assert sent(ring, 4.0) == "newer"


def test_the_same_value_stays_rejected() -> None:
    """Reading the rejected value again does not make it good."""
    ring = ring_of("new", "old")
    ring.reject(key_of(ring), 2.0)
    ring.slots[0].loaded(Secret("new"), 3.0)
    assert sent(ring, 4.0) == "old"


def test_an_only_key_goes_on_being_used_after_a_rejection() -> None:
    """A rejection never takes a tenant's last key away: Invopop decides, each time."""
    ring = ring_of("only")
    assert tried_after(ring, key_of(ring), 2.0) is None
    assert sent(ring, 3.0) == "only"


def test_equal_values_are_one_key() -> None:
    """The same value in both slots is no alternative to itself, and is rejected in both."""
    ring = ring_of("same", "same")
    assert tried_after(ring, key_of(ring), 2.0) is None
    assert [one.rejected_at for one in ring.slots] == [2.0, 2.0]


def test_a_late_rejection_of_a_replaced_key_harms_nothing() -> None:
    """A 401 to a key that is no longer in the ring gives the newer one, and marks nothing."""
    ring = ring_of("old")
    stale = key_of(ring)
    ring.slots[0].loaded(Secret("new"), 1.0)
    assert ring.holders(stale) == []
    ring.reject(stale, 2.0)
    assert ring.slots[0].rejected_at < 0
    newer = ring.alternative(stale, 2.0)
    assert newer is not None
    assert newer.secret.reveal() == "new"


def test_failing_reads_leave_the_last_good_key_until_it_is_too_old() -> None:
    """A store that is down costs nothing for `max_age` after the last good read; then 503."""
    ring = ring_of("key")
    ring.slots[0].failed("unavailable", 130.0, "store is down")
    assert sent(ring, MAX_AGE - 0.1) == "key"
    assert ring.current(MAX_AGE) == Unavailable("unavailable", 30.0)
    assert ring.current(131.0) == NeedsRead(ring.slots)


def test_a_good_read_ends_a_failure() -> None:
    """Nothing of it is told any more, and the key may be asked for again at any time."""
    one = slot()
    one.failed("denied", 30.0, "the store said no")
    one.loaded(Secret("key"), 1.0)
    assert (one.failure, one.detail) == ("", "")
    assert one.retry_at < 0


def test_a_negative_result_is_believed_for_a_while() -> None:
    """What could not be had is not asked for again before its time."""
    ring = KeyRing((slot(),))
    ring.slots[0].failed("denied", 30.0)
    assert ring.slots[0].detail == ""
    assert ring.current(29.0) == Unavailable("denied", 1.0)
    assert ring.current(30.0) == NeedsRead(ring.slots)


def test_of_two_failures_the_keys_own_is_told_and_the_sooner_may_be_tried() -> None:
    """The reason is that of `key`, if it has one; the wait ends with the first that may be read."""
    ring = KeyRing((slot(), slot("previous")))
    ring.slots[0].failed("denied", 30.0)
    ring.slots[1].failed("unavailable", 10.0)
    assert ring.current(4.0) == Unavailable("denied", 6.0)
    assert ring.current(10.0) == NeedsRead(ring.slots[1:])


def test_an_overtaken_read_is_ignored() -> None:
    """Of two reads the one that began later counts, whichever ends first."""
    ring = ring_of("first")
    ring.slots[0].loaded(Secret("third"), 3.0)
    ring.slots[0].loaded(Secret("second"), 2.0)
    assert sent(ring, 4.0) == "third"


def test_a_pinned_key_waits_for_its_check() -> None:
    """A pinned key is not used before Invopop named its workspace."""
    one = slot(pin=PIN)
    ring = KeyRing((one,))
    one.loaded(Secret("key"), 0.0)
    assert isinstance(ring.current(1.0), NeedsRead)
    assert one.candidate is not None
    one.confirmed(one.candidate)
    assert sent(ring) == "key"


def test_a_check_counts_for_a_key_that_was_read_again_meanwhile() -> None:
    """The same value is the same candidate, so that no refresh can overtake each check."""
    one = slot(pin=PIN)
    one.loaded(Secret("key"), 0.0)
    first = one.candidate
    one.loaded(Secret("key"), 1.0)
    assert first is not None
    assert one.candidate is first
    one.confirmed(first)
    assert one.key is first


def pinned(value: str) -> Slot:
    """A pinned slot whose key was checked."""
    one = slot(pin=PIN)
    one.loaded(Secret(value), 0.0)
    assert one.candidate is not None
    one.confirmed(one.candidate)
    return one


def test_a_rotated_pinned_key_takes_over_only_after_its_check() -> None:
    """Until the new key is checked the old one is sent; then the new one."""
    one = pinned("old")
    ring = KeyRing((one,))
    one.loaded(Secret("new"), 5.0)
    assert sent(ring, 6.0) == "old"
    assert one.candidate is not None
    one.confirmed(one.candidate)
    assert sent(ring, 6.0) == "new"


def test_a_key_of_another_workspace_is_never_used() -> None:
    """A mismatch keeps the checked key, for as long as a last good key lives."""
    one = pinned("old")
    ring = KeyRing((one,))
    one.loaded(Secret("stranger"), 5.0)
    assert one.candidate is not None
    one.refuted(one.candidate, "pin_mismatch", 30.0)
    assert sent(ring, 6.0) == "old"
    assert ring.current(MAX_AGE) == NeedsRead(ring.slots)
    assert one.failure == "pin_mismatch"
    assert one.detail == "the key belongs to another workspace than the pinned one"


def test_a_verdict_on_an_older_candidate_counts_for_nothing() -> None:
    """A check that ends after yet another rotation vouches only for the value it asked about."""
    one = slot(pin=PIN)
    one.loaded(Secret("first"), 0.0)
    first = one.candidate
    one.loaded(Secret("second"), 1.0)
    assert first is not None
    one.confirmed(first)
    assert one.key is None
    one.refuted(first, "pin_mismatch", 9.0)
    assert one.candidate is not None


def test_no_showing_of_a_ring_contains_a_key() -> None:
    """Slots and keys show where a key comes from, never what it is."""
    ring = ring_of("sk_live_canary")
    assert "sk_live_canary" not in repr(ring.slots) + repr(ring.current(0.0))


def test_a_rejection_counts_for_the_value_not_the_object() -> None:
    """A key that went on under a new name after a reload is still the one that was rejected."""
    ring = ring_of("same")
    same = Key("acme", "previous", Secret("same"))
    assert ring.holders(same)[0] is ring.slots[0]
    ring.reject(same, 2.0)

"""What the vault tells about its keys."""

import asyncio
import time
from datetime import UTC, datetime

import jwt
import pytest

from gateway.errors import Problem
from gateway.events import Event, Noticed
from gateway.pin import Pin
from gateway.secret import Secret
from gateway.vault import report
from gateway.vault.key_ring import Slot
from gateway.vault.report import DAY, ends_soon, expiry_warnings, rows, unresolved
from tests.support.vaults import key_source, vault_settings


def slot(name: str, expires_in: float | None) -> Slot:
    """A loaded slot, its key a JWT with that much life left."""
    claims = {} if expires_in is None else {"exp": int(time.time() + expires_in)}
    made = Slot(name, "key", key_source(env="K"))
    made.loaded(Secret(jwt.encode(claims, "k" * 32, algorithm="HS256")), 0.0)
    return made


def test_keys_near_their_end_are_warned_of_once_a_day() -> None:
    """A warning 14 days before, daily, with tenant, slot, fingerprint and date; no key."""
    soon, past, late, never = (
        slot("soon", 13 * DAY),
        slot("past", -DAY),
        slot("late", 15 * DAY),
        slot("never", None),
    )
    warned: dict[Slot, float] = {}
    slots = [soon, past, late, never]
    told = expiry_warnings(slots, warned)
    assert [one.fields["tenant"] for one in told] == ["soon", "past"]
    assert soon.key is not None
    assert soon.expires_at is not None
    assert told[0] == Noticed(
        "key_expires_soon",
        "warning",
        {
            "tenant": "soon",
            "slot": "key",
            "key_fingerprint": soon.key.fingerprint,
            "expires": datetime.fromtimestamp(soon.expires_at, UTC).isoformat(),
        },
    )
    assert soon.key.secret.reveal() not in repr(told)
    assert expiry_warnings(slots, warned) == []
    warned[past] -= DAY
    assert [one.fields["tenant"] for one in expiry_warnings(slots, warned)] == ["past"]


async def test_the_watch_looks_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes near its end while the process lives is warned of, too."""
    monkeypatch.setattr(report, "SCAN", 0.0)
    slots, told = [slot("soon", DAY)], list[Event]()
    watch = asyncio.ensure_future(report.warn_of_expiry(lambda: slots, told.append))
    async with asyncio.timeout(5):
        while len(told) < 2:
            if told and len(slots) == 1:
                slots.append(slot("next", DAY))
            await asyncio.sleep(0)
    watch.cancel()
    await asyncio.wait((watch,))
    assert [one.fields["tenant"] for one in told if isinstance(one, Noticed)] == ["soon", "next"]


def test_a_rotated_key_is_warned_of_no_more() -> None:
    """A key that was replaced in time leaves the memory of warnings."""
    one = slot("soon", DAY)
    warned: dict[Slot, float] = {}
    list(expiry_warnings([one], warned))
    one.loaded(slot("x", 99 * DAY).key.secret, 1.0)  # type: ignore[union-attr]
    assert list(expiry_warnings([one], warned)) == []
    assert warned == {}


@pytest.mark.parametrize(
    ("left", "soon"),
    [(None, False), (-DAY, True), (14 * DAY - 1, True), (14 * DAY, False), (15 * DAY, False)],
)
def test_a_key_ends_soon_when_less_than_14_days_are_left(left: float | None, soon: bool) -> None:
    """Also when it has ended; one that tells no end never does."""
    assert ends_soon(None if left is None else 1e9 + left, 1e9) == soon


def test_local_keys_that_cannot_be_had_are_problems_of_the_vault_file() -> None:
    """By file and key path, with what is wrong; a store that is away is none."""
    broken, local = (
        Slot("a", "previous", key_source(env="K")),
        Slot("b", "key", key_source(env="K")),
    )
    away = Slot("c", "key", key_source(aws="x"))
    broken.failed("not_found", 9.0, "env K is not set")
    away.failed("unavailable", 9.0, "no answer")
    settings = vault_settings().vault
    assert unresolved([broken, local, away], settings) == [
        Problem(
            str(settings.file),
            "tenants.a.previous",
            "env K is not set",
            "a key that can be read and sent",
        )
    ]


def test_rows_tell_each_state() -> None:
    """Loaded, not yet read, failed, waiting for its pin: each has its word."""
    ok, unread, failed = slot("a", None), Slot("b", "key", key_source(env="K")), slot("c", None)
    failed.failed("denied", 9.0, "the store said no")
    pinned = Slot("d", "key", key_source(env="K"), Pin("w-1"))
    pinned.loaded(Secret("key"), 0.0)
    assert ok.key is not None
    found = rows([pinned, failed, unread, ok])
    assert [(row.tenant, row.state) for row in found] == [
        ("a", "ok"), ("b", "loading"), ("c", "denied"), ("d", "unchecked"),
    ]  # fmt: skip
    assert found[2].detail == "the store said no"
    assert [row.fingerprint for row in found[:2]] == [ok.key.fingerprint, ""]
    assert found[3].fingerprint == Secret("key").fingerprint
    assert [row.workspace for row in found] == [None, None, None, "w-1"]


def test_the_expiry_told_is_that_of_the_key_in_use() -> None:
    """Only of a key that waits for its first check it is the waiting one's."""
    ends = [jwt.encode({"exp": exp}, "k" * 32, algorithm="HS256") for exp in (100, 200)]
    pinned = Slot("a", "key", key_source(env="K"), Pin("w-1"))
    pinned.loaded(Secret(ends[0]), 0.0)
    assert rows([pinned])[0].expires_at == 100.0
    assert pinned.candidate is not None
    pinned.confirmed(pinned.candidate)
    pinned.loaded(Secret(ends[1]), 1.0)
    assert rows([pinned])[0].expires_at == 100.0

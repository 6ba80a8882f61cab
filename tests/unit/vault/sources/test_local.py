"""The sources on this machine: environment, files, values."""

import errno
import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway.vault.sources import local
from gateway.vault.sources.registry import open_source
from gateway.vault.sources.source import Connections, SourceError
from gateway.watcher import mark_of
from tests.support.vaults import key_source, vault_settings

CANARY = "sk_live_canary"
LONG_AGO = 1_000_000_000


async def read(environ: dict[str, str] | None = None, **source: Any) -> str:
    """One key, read as the vault would."""
    named = key_source(**source)
    opened = open_source(named.kind, Connections(vault_settings().vault, environ or {}))
    return (await opened.read(named)).reveal()


def settled(path: Path, content: bytes) -> Path:
    """A file that nobody is writing."""
    path.write_bytes(content)
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


async def test_env_reads_the_environment_it_was_given() -> None:
    """`env` gives the variable's value as it is."""
    assert await read({"ACME": " as is "}, env="ACME") == " as is "


async def test_env_unset_names_the_variable() -> None:
    """A variable that is not set is not found, and named."""
    with pytest.raises(SourceError, match=r"not_found.*ACME is not set"):
        await read(env="ACME")


async def test_value_is_itself() -> None:
    """`value` gives what stands in the vault file."""
    assert await read(value=CANARY) == CANARY


async def test_a_value_that_is_none_is_not_found() -> None:
    """Settings let none pass; here it is no crash."""
    opened = open_source("value", Connections(vault_settings().vault, {}))
    with pytest.raises(SourceError) as caught:
        await opened.read(key_source(env="ACME"))
    assert (caught.value.outcome, caught.value.reason) == ("not_found", "no value is given")


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"key", "key"),
        (b"key\n", "key"),
        (b"key\n\n", "key\n"),
        (b"key\r\n", "key\r"),
        (b"\n", ""),
        (b"", ""),
        (b" key ", " key "),
        ("\ufeffkey".encode(), "\ufeffkey"),
    ],
)
async def test_file_loses_one_newline(tmp_path: Path, content: bytes, key: str) -> None:
    """Exactly one trailing newline is stripped, and nothing else: the rest is for `check_key`."""
    assert await read(file=settled(tmp_path / "key", content)) == key


async def test_field_is_a_member_of_a_json_file(tmp_path: Path) -> None:
    """With `field` the file is a JSON object, and the key its member."""
    path = settled(tmp_path / "keys.json", json.dumps({"a": CANARY, "b": 1}).encode())
    assert await read(file=path, field="a") == CANARY


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{CANARY}".encode(), "is not JSON"),
        (json.dumps([CANARY]).encode(), "is not a JSON object"),
        (json.dumps({"other": CANARY}).encode(), "does not exist"),
        (json.dumps({"a": {"deep": CANARY}}).encode(), "is not a string"),
        (b"\xff" + CANARY.encode(), "is not UTF-8"),
        (b" " * (1024 * 1024 + 1), "larger than"),
    ],
)
async def test_a_malformed_file_is_not_quoted(tmp_path: Path, content: bytes, said: str) -> None:
    """What is wrong with a JSON file is said without a word of it, also down the cause chain."""
    path = settled(tmp_path / "keys.json", content)
    place = key_source(file=path, field="a").describe()
    with pytest.raises(SourceError, match=f"^malformed: .*{re.escape(place)}.* ?{said}") as caught:
        await read(file=path, field="a")
    assert caught.value.outcome == "malformed"
    assert CANARY not in repr(caught.value) + repr(caught.value.__cause__)


async def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    """A missing file, or one under a file, is not found; the path is named."""
    with pytest.raises(SourceError, match=r"not_found.*nothing"):
        await read(file=tmp_path / "nothing")


async def test_a_directory_or_fifo_is_no_key(tmp_path: Path) -> None:
    """What is not a regular file is refused at once, and never waited for."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo"):
        with pytest.raises(SourceError) as caught:
            await read(file=path)
        assert caught.value.outcome == ("unavailable" if path == tmp_path else "malformed")
    assert caught.value.reason == f"file {tmp_path}/fifo is not a regular file"


async def test_the_largest_file_that_is_read(tmp_path: Path) -> None:
    """Exactly 1 MiB, and its mark is that of the file."""
    path = settled(tmp_path / "key", b"x" * local.MAX_SIZE)
    assert len(await read(file=path)) == local.MAX_SIZE
    assert local._read(path, "").mark == mark_of(path.stat())


async def test_a_file_being_rewritten_is_waited_for(tmp_path: Path) -> None:
    """Case 164: a read that meets a truncated file waits, and takes the whole new key."""
    path = tmp_path / "key"
    path.write_bytes(b"")  # truncated just now, by a writer that pauses
    timer = threading.Timer(0.05, lambda: path.write_bytes(b"whole\n"))
    timer.start()
    assert await read(file=path) == "whole"
    timer.join()


@pytest.mark.parametrize(
    ("number", "outcome"),
    [(errno.EACCES, "denied"), (errno.EPERM, "denied"), (errno.EIO, "unavailable")],
)
async def test_a_file_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, outcome: str
) -> None:
    """Told apart from one that is away, with the system's own words."""

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SourceError) as caught:
        await read(file=tmp_path / "key")
    place = key_source(file=tmp_path / "key").describe()
    assert (caught.value.outcome, caught.value.reason) == (
        outcome,
        f"{place}: {os.strerror(number)}",
    )


class Restless:
    """A file whose states the test writes: mark and age at each read; and the pauses between."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *states: tuple[int, float]) -> None:
        self.states = list(states)
        self.pauses: list[float] = []
        self.places: list[str] = []
        monkeypatch.setattr(local, "_read", self.read)
        monkeypatch.setattr("asyncio.sleep", self.sleep)

    def read(self, _: Path, place: str) -> local._Read:
        """The next state; the last one for ever."""
        self.places.append(place)
        mark, age = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return local._Read(b"%d" % mark, (mark,), age)

    async def sleep(self, seconds: float) -> None:
        """Takes no time."""
        self.pauses.append(round(seconds, 3))

    async def settled(self) -> bytes:
        """What a read of it gives."""
        return await local._settled(Path("key"), "the place")


@pytest.mark.parametrize("age", [0.2, 5.0, -1.0])
async def test_a_file_that_stands_still_is_read_once(
    monkeypatch: pytest.MonkeyPatch, age: float
) -> None:
    """Also one from the future: clocks are set."""
    made = Restless(monkeypatch, (1, age), (2, age))
    assert await made.settled() == b"1"
    assert made.pauses == []


async def test_a_young_file_is_read_until_two_reads_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """With as much of a pause as makes it old enough."""
    made = Restless(monkeypatch, (1, 0.0), (2, 0.15), (2, 0.1))
    assert await made.settled() == b"2"
    assert made.pauses == [0.2, 0.05]
    assert made.places == ["the place"] * 3


async def test_a_file_that_never_stands_still_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After some rounds, as a store that is away."""
    made = Restless(monkeypatch, *((n, 0.0) for n in range(50)))
    with pytest.raises(SourceError) as caught:
        await made.settled()
    assert (caught.value.outcome, caught.value.reason) == (
        "unavailable",
        "the place keeps changing",
    )
    assert len(made.pauses) == local.MAX_ROUNDS

"""The audit log and traces before they are opened: what is wrong is found, and nothing is made."""

from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigurationError, Problem
from gateway.observe.logs import Logger
from gateway.observe.writer import LineWriter
from gateway.observers import AuditAndTraces
from gateway.secret import Secret
from gateway.settings.key_sources import KeySource
from gateway.settings.schema import Settings

UNSET = Problem("g.toml", "tracing.headers.x", "env X is not set", "a secret that can be read")


async def problems(**sections: Any) -> list[Problem]:
    """What is wrong with these settings; every secret is unset."""

    async def unset(source: KeySource, file: str, key: str) -> Secret:
        raise ConfigurationError([Problem(file, key, UNSET.found, UNSET.expected)])

    writer = LineWriter(1)
    audit_and_traces = AuditAndTraces(
        Settings.model_validate(sections), Logger(writer, "error", "json")
    )
    try:
        return await audit_and_traces.problems("g.toml", unset)
    finally:
        writer.close()


@pytest.mark.parametrize("place", ["nowhere/audit.jsonl", "link", "directory", "open", "file/x"])
async def test_a_file_that_proves_nothing_is_found(tmp_path: Path, place: str) -> None:
    """No directory, a link, a directory, open to everyone's writing, below a file."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("open", "file"):
        (tmp_path / name).touch()
    (tmp_path / "open").chmod(0o666)
    before = {*tmp_path.iterdir()}
    (found,) = await problems(audit={"file": str(tmp_path / place)})
    assert (found.file, found.key) == ("g.toml", "audit.file")
    assert {*tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["stdout", "new.jsonl", "old.jsonl"])
async def test_a_file_that_will_do_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Looking makes no file, and writes to none."""
    monkeypatch.chdir(tmp_path)
    Path("old.jsonl").write_text("line\n")
    assert await problems(audit={"file": name}) == []
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [
        ("old.jsonl", "line\n")
    ]


async def test_what_tracing_lacks_is_found(tmp_path: Path) -> None:
    """A trust anchor that is none, and a header's secret that is not there: both at once."""
    (tmp_path / "ca.pem").write_text("no certificate")
    tracing = {
        "endpoint": "https://otel:4318",
        "ca_file": str(tmp_path / "ca.pem"),
        "headers": {"x": {"env": "X"}},
    }
    anchor, header = await problems(tracing=tracing)
    assert (anchor.file, anchor.key) == ("g.toml", "tracing.ca_file")
    assert header == UNSET


async def test_without_sections_there_is_nothing_to_find() -> None:
    """Neither is on by itself."""
    assert await problems() == []

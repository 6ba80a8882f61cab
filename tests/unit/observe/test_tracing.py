"""Traces before they are exported: what is wrong is found; without a section there are none."""

import os
from pathlib import Path
from typing import Any

from gateway.errors import ConfigurationError, Problem
from gateway.events import Events
from gateway.observe.logs import Logger
from gateway.observe.tracing import TraceExport
from gateway.observe.writer import LineWriter
from gateway.secret import Secret
from gateway.settings.key_sources import KeySource
from gateway.settings.schema import TracingSettings

UNSET = Problem("g.toml", "tracing.headers.x", "env X is not set", "a secret that can be read")


def traces(**tracing: Any) -> TraceExport:
    """What these settings ask for."""
    writer = LineWriter(os.open(os.devnull, os.O_WRONLY))
    writer.close()
    return TraceExport(TracingSettings.model_validate(tracing), Logger(writer, "error", "json"))


async def unset(source: KeySource, file: str, key: str) -> Secret:
    """Every secret is missing."""
    raise ConfigurationError([Problem(file, key, UNSET.found, UNSET.expected)])


async def test_what_tracing_lacks_is_found(tmp_path: Path) -> None:
    """A trust anchor that is none, and a header's secret that is not there: both at once."""
    (tmp_path / "ca.pem").write_text("no certificate")
    asked = traces(
        endpoint="https://otel:4318",
        ca_file=str(tmp_path / "ca.pem"),
        headers={"x": {"env": "X"}},
    )
    anchor, header = await asked.problems("g.toml", unset)
    assert anchor.key == "tracing.ca_file"
    assert header == UNSET


async def test_without_an_endpoint_nothing_is_traced() -> None:
    """Nothing is wrong, nothing is opened, and closing does nothing."""
    asked = traces()
    assert await asked.problems("g.toml", unset) == []
    assert asked.open(Events()) is None
    asked.close()

"""All observers of one process: problems of several are in one list, each with its file."""

import os
from pathlib import Path

from gateway.errors import ConfigurationError, Problem
from gateway.observe.logs import Logger
from gateway.observe.writer import LineWriter
from gateway.observers import Observers
from gateway.secret import Secret
from gateway.settings.key_sources import KeySource
from gateway.settings.schema import Settings


async def test_all_that_cannot_be_opened_is_found_at_once(tmp_path: Path) -> None:
    """The audit log's directory and a header's secret: both with the configuration's file."""

    async def unset(source: KeySource, file: str, key: str) -> Secret:
        raise ConfigurationError([Problem(file, key, "nothing", "a secret that can be read")])

    writer = LineWriter(os.open(os.devnull, os.O_WRONLY))
    settings = Settings.model_validate(
        {
            "audit": {"file": str(tmp_path / "nowhere" / "audit.jsonl")},
            "tracing": {"endpoint": "https://otel:4318", "headers": {"x": {"env": "X"}}},
        }
    )
    observers = Observers(settings, Logger(writer, "error", "json"))
    found = await observers.problems("g.toml", unset)
    writer.close()
    assert [(problem.file, problem.key) for problem in found] == [
        ("g.toml", "audit.file"),
        ("g.toml", "tracing.headers.x"),
    ]

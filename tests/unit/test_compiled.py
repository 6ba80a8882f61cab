"""What a changed configuration can take into use by itself, and what it cannot."""

from typing import Any

import pytest

from gateway.compiled import restart_required
from gateway.settings.schema import Settings


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"listen": {"port": 1}}, ("listen.port",)),
        ({"log": {"sample_success": 0.5}}, ("log.sample_success",)),
        (
            {"audit": {"file": "audit.jsonl", "write_before_forward": True}},
            ("audit.file", "audit.write_before_forward"),
        ),
        (
            {"tracing": {"endpoint": "http://otel:4318", "sample_ratio": 0.5}},
            ("tracing.endpoint", "tracing.sample_ratio"),
        ),
        ({"tracing": {"headers": {"x": {"env": "X"}}}}, ("tracing.headers",)),
        ({"limits": {"max_body": 1}, "upstream": {"read_timeout": 1.0}}, ()),
    ],
)
def test_what_needs_a_restart_is_named(changes: dict[str, Any], expected: tuple[str, ...]) -> None:
    """What is made once for the life of the process, and nothing else."""
    assert restart_required(Settings(), Settings.model_validate(changes)) == expected

"""Extras that are not installed are named all at once."""

import sys

import pytest

from tests.unit.cli.conftest import Configured


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing but the program itself were installed."""
    for name in ("pyrage", "botocore", "redis", "limits", "opentelemetry.sdk"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("without")
def test_all_at_once(configured: Configured) -> None:
    """An encrypted vault, a shared rate storage, traces and a store: one line installs them all."""
    configured.configure(
        vault={"file": "vault.toml.age", "identity": {"file": "identity"}, "aws": {}},
        limits={"storage": "redis://127.0.0.1"},
        tracing={"endpoint": "https://127.0.0.1:9"},
    )
    (configured.directory / "identity").write_text("AGE-SECRET-KEY-1X")
    (configured.directory / "vault.toml.age").write_text("x")
    code, told = configured.command("check")
    assert code == 1
    assert "pip install 'invopop-gateway[age,aws,otel,redis]'" in told, told


@pytest.mark.usefixtures("without")
def test_all_at_once_in_what_is_right_otherwise(configured: Configured) -> None:
    """Each is named where it is needed, and then the line for all."""
    configured.vault({"acme": {"key": {"aws": "invopop/acme"}}})
    configured.configure(vault={"aws": {}}, limits={"storage": "redis://127.0.0.1"})
    code, told = configured.command("check")
    assert code == 1
    for name in ("redis", "aws,redis"):
        assert f"invopop-gateway[{name}]" in told, told


@pytest.mark.usefixtures("without")
def test_one_alone(configured: Configured) -> None:
    """It is named once."""
    configured.configure(limits={"storage": "redis://127.0.0.1"})
    assert configured.command("check")[1].count("invopop-gateway[") == 1


def test_what_is_installed_is_not_named(configured: Configured) -> None:
    """Nor are extras that nothing needs."""
    configured.configure(limits={"storage": "redis://127.0.0.1"})
    assert "invopop-gateway[" not in configured.command("check")[1]

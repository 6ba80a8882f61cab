"""Signals at any moment, from the first import on: none is lost, and none kills by chance."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gateway import GatewayProcess, eventually, write_toml

# Sends itself a signal when a module is about to be imported, then is the program as usual.
AT_IMPORT = """
import os, runpy, sys
class At:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, At())
runpy.run_module("gateway", run_name="__main__", alter_sys=True)
"""
EARLY = ("gateway.cli", "typer", "gateway.server.run")
SETTINGS = {
    "listen": {"port": 0},
    "admin": {"port": 0},
    "callers": {"billing": {"networks": ["127.0.0.0/8"], "tenants": ["acme"]}},
}
VAULT = {"tenants": {"acme": {"key": {"value": "sk_of_acme"}}}}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with nothing wrong in it."""
    write_toml(tmp_path / "vault.toml", VAULT)
    return write_toml(tmp_path / "gateway.toml", SETTINGS)


def at_import(module: str, number: int, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The program, which sends itself that signal at that import."""
    code = AT_IMPORT.format(module=module, number=int(number))
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", EARLY)
def test_serve_ends_well_while_it_starts(config: Path, module: str, number: signal.Signals) -> None:
    """There is nothing to finish yet: exit 0, and not a word on stderr."""
    done = at_import(module, number, "serve", "--config", str(config))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("module", [*EARLY[:2], ""])
@pytest.mark.parametrize("command", [("check",), ("demo", "--once"), ("tokens", "new", "x")])
def test_commands_that_are_interrupted_fail(
    config: Path, command: tuple[str, ...], module: str
) -> None:
    """Exit 1, and no traceback: what was asked for has not been done."""
    done = at_import(module or f"gateway.cli.{command[0]}", signal.SIGINT, *command)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


class Early(GatewayProcess):
    """A gateway that gets two signals at its first import."""

    program = (
        "-c",
        AT_IMPORT.format(module="gateway.cli", number=int(signal.SIGHUP)).replace(
            "os.kill(os.getpid(), 1)", "[os.kill(os.getpid(), n) for n in (1, 10, 12)]"
        ),
    )


def test_a_reload_asked_for_early_is_done(tmp_path: Path) -> None:
    """SIGHUP and SIGUSR1 wait until there is something to reload, or reopen; SIGUSR2 is ignored."""
    with Early(tmp_path, SETTINGS, VAULT) as gateway:
        eventually(lambda: gateway.events("config_reload"), 10)
        eventually(lambda: gateway.events("files_reopened"), 10)
        gateway.signal(signal.SIGUSR2)
        assert gateway.admin("/readyz")[0] == 200
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_well_while_it_loads(tmp_path: Path, number: signal.Signals) -> None:
    """Within the event loop, too: what was opened is closed, exit 0, no traceback."""
    write_toml(tmp_path / "vault.toml", VAULT)
    tracing = {"endpoint": "http://127.0.0.1:9"}
    config = write_toml(tmp_path / "gateway.toml", SETTINGS | {"tracing": tracing})
    done = at_import("gateway.observe.otlp", number, "serve", "--config", str(config))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_log_that_was_rotated_is_written_anew(tmp_path: Path) -> None:
    """SIGUSR1: what stdout leads to, if it is a file, and the audit file are at their old names.

    Nothing is lost: the lines before it are in the file that was moved away.
    """
    settings = SETTINGS | {"audit": {"file": "audit.jsonl"}}
    write_toml(tmp_path / "vault.toml", VAULT)
    config = write_toml(tmp_path / "gateway.toml", settings)
    log, audit = tmp_path / "gateway.log", tmp_path / "audit.jsonl"
    log.touch(0o640)
    with log.open("ab") as out:
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(config)]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE)
    try:
        eventually(lambda: log.read_text().count('"listening"') == 2, 20)
        eventually(lambda: "started" in audit.read_text(), 10)
        old, old_audit = log.rename(tmp_path / "old.log"), audit.rename(tmp_path / "old.jsonl")
        process.send_signal(signal.SIGUSR1)
        eventually(lambda: log.exists() and audit.exists(), 10)
        eventually(lambda: "files_reopened" in log.read_text(), 10)
        assert log.stat().st_mode & 0o777 == 0o640
        assert old.read_text().count('"listening"') == 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.stderr.close()
    for path in (old, log, old_audit, audit):
        assert all(json.loads(line) for line in path.read_text().splitlines())
    assert "stopped" in audit.read_text()
    assert "started" in old_audit.read_text()


def test_a_demo_that_is_ended_takes_its_gateway_along(tmp_path: Path) -> None:
    """SIGTERM in the middle of the start: exit 1, and neither a folder nor a process is left."""
    environ = os.environ | {"TMPDIR": str(tmp_path), "PYTHONDEVMODE": ""}
    command = [sys.executable, "-m", "gateway", "demo"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ, text=True
    ) as demo:
        eventually(lambda: list(tmp_path.glob("*/gateway.toml")), 20)
        demo.send_signal(signal.SIGTERM)
        _, errors = demo.communicate(timeout=30)
    assert (demo.returncode, errors) == (1, "")
    assert list(tmp_path.iterdir()) == []

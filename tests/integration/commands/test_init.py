"""`init` in a terminal and by flags; what it prints is run word for word."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.prometheus import free_port
from tests.support.terminal import in_terminal

BIN = Path(sys.executable).parent
ENVIRON = {
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "HOME": os.environ.get("HOME", "/"),
    "INVOPOP_GATEWAY__ADMIN__PORT": "0",
}


def steps(output: str) -> dict[str, list[str]]:
    """The shell lines below each heading."""
    found: dict[str, list[str]] = {}
    for line in output.splitlines():
        if line.endswith(":"):
            found[line.partition(",")[0].rstrip(":")] = lines = []
        elif line.startswith("  "):
            lines.append(line.strip())
    return found


@contextmanager
def running(line: str, until: str) -> Iterator[None]:
    """A command in a terminal of its own, once it has printed `until`."""
    process = subprocess.Popen(["bash", "-c", f"exec {line}"], env=ENVIRON, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        for printed in process.stdout:
            if until.encode() in printed:
                break
        else:
            raise AssertionError(f"{line} ended without {until}")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def test_the_printed_lines_work_as_they_are(tmp_path: Path) -> None:
    """Sandbox, check, serve and curl, pasted in this order: the workspace of `acme` arrives."""
    directory = tmp_path / "my gateway"
    command = ["invopop-gateway", "init", str(directory), "--sandbox", "--yes"]
    output = subprocess.run(command, env=ENVIRON, check=True, capture_output=True, text=True).stdout
    # The usual ports may be in use here.
    ports = {port: str(free_port()) for port in ("8443", "8444", "8585")}
    settings = directory / "gateway.toml"
    text = settings.read_text()
    for usual, free in ports.items():
        text = text.replace(usual, free)
    settings.write_text(f"{text}\n[listen]\nport = {ports['8585']}\n")
    for usual, free in ports.items():
        output = output.replace(usual, free)
    lines = steps(output)
    with running(lines["Start the sandbox Invopop"][0], "Try it"):
        checked = subprocess.run(["bash", "-c", lines["Check it"][0]], env=ENVIRON, check=False)
        assert checked.returncode == 0
        with running(lines["Start it"][0], '"admin"'):
            request = lines["Call it as you would call Invopop"][0]
            done = subprocess.run(
                ["bash", "-c", f"{request} -sS"], env=ENVIRON, check=True, capture_output=True
            )
            there = f"/.files/localhost:{ports['8444']}/no/such/file"
            request = request.replace("/access/v1/workspace", there)
            file = subprocess.run(
                ["bash", "-c", f"{request} -sSi"], env=ENVIRON, check=True, capture_output=True
            )
    assert b'"slug":"acme"' in done.stdout.replace(b" ", b"")
    # The sandbox's own answer: the gateway would have refused another host with 421.
    assert file.stdout.startswith(b"HTTP/1.1 404 ")
    assert b"x-gateway-error" not in file.stdout.lower()


def test_a_terminal_is_asked(tmp_path: Path) -> None:
    """Each question has a default, a wrong word is asked for again, and the answers are written."""
    answers = ["live", "hotel-a hotel-b", "nowhere", "env", "booking", "shared", "token"]
    output, code, _ = in_terminal(["init", str(tmp_path)], answers, ENVIRON)
    assert code == 0
    assert "One of env, file, value, openbao, aws is expected." in output
    assert 'host = "0.0.0.0"' in (tmp_path / "gateway.toml").read_text()
    assert re.search(r"\[callers.booking\]\ntokens = ", (tmp_path / "gateway.toml").read_text())
    assert '"HOTEL_B_INVOPOP_KEY"' in (tmp_path / "vault.toml").read_text()
    assert (tmp_path / "vault.toml").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "booking.token").stat().st_mode & 0o777 == 0o600
    assert "read -rs HOTEL_A_INVOPOP_KEY" in output


def test_a_key_is_asked_for_without_echo(tmp_path: Path) -> None:
    """It is in the vault file, and nowhere on the screen; nor is the caller's token."""
    words = ["init", str(tmp_path), "--keys", "value", "--yes"]
    output, code, echo = in_terminal(words, ["sk_typed_secret"], ENVIRON)
    assert (code, echo) == (0, [False])
    assert "sk_typed_secret" in (tmp_path / "vault.toml").read_text()
    assert "sk_typed_secret" not in output
    assert (tmp_path / "billing.token").read_text().strip() not in output

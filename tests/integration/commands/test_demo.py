"""`demo`: what a newcomer sees first does what it says, and leaves nothing behind."""

import re
import resource
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import build, showing
from gateway.cli.tour import TourStep, Visit
from tests.integration.test_seed_examples import tool
from tests.support.gateway import run

COMMAND = [sys.executable, "-m", "gateway", "demo"]
PLAIN = {
    "PYTHONDEVMODE": ""
}  # its asyncio tells of each failed handshake, and one is meant to fail
CPU_SECONDS = 10.0  # about 2.7 on an idle machine; a loaded one counts up to twice as much


@contextmanager
def demo() -> Iterator["subprocess.Popen[str]"]:
    """The demo as somebody runs it who goes on after the tour."""
    with subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as d:
        try:
            yield d
        finally:
            if d.poll() is None:  # killed, it would leave its gateway and its folder behind
                d.send_signal(signal.SIGINT)
                d.wait(15)


@pytest.mark.parametrize("columns", [80, 120])
def test_tour(columns: int) -> None:
    """Each request does what the tour expects, at any width; no key or token is shown."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code, printed = run(["demo", "--once"], {"COLUMNS": str(columns), **PLAIN})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (code, "Traceback" in printed) == (0, False), printed
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < CPU_SECONDS
    told = re.fullmatch(r"(?s).*\n(\d+) of (\d+) requests did what the tour expects\.\n+", printed)
    assert told is not None
    assert told[1] == told[2]
    assert printed.count("✓") == int(told[1])
    assert "✗" not in printed
    assert max(map(len, printed.splitlines())) <= columns
    for sign in ("pong", "PDF", "operation_denied", "tenant_denied", "unauthenticated",
                 "requests_total", "/auth/version"):  # fmt: skip
        assert sign in printed
    assert not re.search(r"igw_|eyJ", printed)
    assert not Path(_folder(printed)).exists()


def _folder(printed: str) -> str:
    found = re.search(r"\S*/invopop-gateway-demo-\w+", printed)
    assert found is not None
    return found[0]


def test_goes_on_until_interrupted() -> None:
    """The `curl` lines work as they are pasted; Ctrl-C ends everything, with 0."""
    with demo() as running:
        assert running.stdout is not None
        printed = ""
        for line in running.stdout:
            printed += line
            if "Ctrl-C" in line:
                break
        lines = [line.strip() for line in printed.splitlines() if line.startswith("  curl ")]
        assert len(lines) >= 4
        answers = [_pasted(line) for line in lines]
        assert "v1.0.0" in answers[0]
        assert "invopop_gateway_requests_total" in answers[-1]
        assert sum('"key":"tenant_denied"' in answer for answer in answers) == 1
        assert Path(_folder(printed), "gateway.toml").exists()
        running.send_signal(signal.SIGINT)
        assert running.wait(15) == 0
    assert not Path(_folder(printed)).exists()


def _pasted(line: str) -> str:
    command = [tool("curl"), *shlex.split(line)[1:], "--max-time", "10"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_terminal_without_our_signs() -> None:
    """Where a terminal cannot show an arrow, there is something else in its place."""
    code, printed = run(["demo", "--once"], {"PYTHONIOENCODING": "latin-1", **PLAIN})
    assert (code, "Traceback" in printed) == (0, False), printed


@pytest.mark.parametrize(("as_expected", "code"), [(True, 0), (False, 1)])
def test_a_tour_that_went_wrong(
    monkeypatch: pytest.MonkeyPatch, as_expected: bool, code: int
) -> None:
    """Exit code 1, and which request it was."""
    step = TourStep("billing", "GET", "/x", 200, "shows", lambda _: "")

    async def strange(*_: object) -> list[Visit]:
        return [Visit(step, "/x", 500, "noted", 1.0, as_expected)]

    monkeypatch.setattr(showing, "tour", strange)
    result = CliRunner().invoke(build(), ["demo", "--once"])
    assert result.exit_code == code, result.output
    assert ("✗" in result.output) == (not as_expected)
    assert f"{int(as_expected)} of 1 requests" in result.output

"""The template unit: verified, scored, and its idea run for real: two processes on one port."""

import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.support.gateway import GatewayProcess, eventually
from tests.support.prometheus import DEPLOY, free_port

UNIT = DEPLOY / "systemd" / "invopop-gateway@.service"
TEXT = UNIT.read_text()


def analyze(path: str, *arguments: str) -> str:
    """Runs systemd-analyze; all that it says, which is shown if it finds something wrong."""
    command = (path, "--no-pager", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_unit_is_sound(program: Callable[[str], str], tmp_path: Path) -> None:
    """systemd has nothing against it, once the program is where the unit says."""
    copy = tmp_path / UNIT.name
    copy.write_text(TEXT.replace("/opt/invopop-gateway/bin/invopop-gateway", sys.executable))
    assert analyze(program("systemd-analyze"), "verify", "--man=no", str(copy)) == ""


def test_its_exposure_is_what_the_readme_says(program: Callable[[str], str]) -> None:
    """systemd's own score of what the service could still do (0 best, 10 worst) is as stated."""
    told = analyze(program("systemd-analyze"), "security", "--offline=true", str(UNIT))
    score = re.search(r"Overall exposure level for .*: ([\d.]+)", told)
    stated = re.search(r"exposure\s+level ([\d.]+)", (DEPLOY / "README.md").read_text())
    assert score is not None
    assert stated is not None
    assert float(score[1]) <= float(stated[1]) < 2


def test_its_user_can_be_made(program: Callable[[str], str], tmp_path: Path) -> None:
    """The user that the unit names is the one that sysusers would make."""
    file = tmp_path / "usr" / "lib" / "sysusers.d" / "invopop-gateway.conf"
    file.parent.mkdir(parents=True)
    shutil.copy(DEPLOY / "systemd" / "invopop-gateway.sysusers.conf", file)
    command = (program("systemd-sysusers"), "--dry-run", f"--root={tmp_path}", file.name)
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    assert "Creating user 'invopop-gateway'" in done.stdout + done.stderr
    assert "User=invopop-gateway\n" in TEXT


def test_it_is_given_time_to_drain() -> None:
    """systemd waits longer than the longest drain that the unit's comment allows for."""
    stop = re.search(r"TimeoutStopSec=(\d+)s", TEXT)
    assert stop is not None
    delay = re.search(r"\nEnvironment=INVOPOP_GATEWAY__LISTEN__DRAIN_DELAY=(\d+)\n", TEXT)
    assert delay is not None
    assert int(delay[1]) >= 1
    assert int(stop[1]) > 75 + int(delay[1])


def test_two_processes_share_one_port(
    configuration: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    """With the unit's variables two instances answer on one port; one may end, none is missed."""
    variables = dict(re.findall(r"(?m)^Environment=(INVOPOP_GATEWAY__\w+)=(.*)$", TEXT))
    shared = str(free_port())
    instances = []
    for instance in (str(free_port()), str(free_port())):
        (directory := tmp_path / instance).mkdir()
        environ = {name: value.replace("%i", instance) for name, value in variables.items()}
        environ["INVOPOP_GATEWAY__LISTEN__PORT"] = shared
        files = configuration("gateway.toml"), configuration("vault.toml")
        instances.append(GatewayProcess(directory, *files, environ))
    with instances[0] as one, instances[1] as two:
        assert one.port == two.port == int(shared)

        def both() -> bool:
            assert _ask(one) == 200
            return all(process.metric("requests_total", status="200") for process in instances)

        eventually(both, 10)
        assert one.stop() == 0
        assert {_ask(two) for _ in range(20)} == {200}


def test_systemd_is_told_of_its_life(
    configuration: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    """What Type=notify, ExecReload and WatchdogSec need, from the process that the unit starts."""
    assert "\nType=notify\n" in TEXT
    assert re.search(r"\nWatchdogSec=\d+s\n", TEXT)
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(tmp_path / "notify"))
    notify.settimeout(15)

    def told(name: str) -> None:
        while not notify.recv(4096).startswith(f"{name}=1".encode()):
            pass

    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "500000"}
    files = configuration("gateway.toml"), configuration("vault.toml")
    with notify, GatewayProcess(tmp_path, *files, environ) as gateway:
        told("READY")
        assert len(gateway.events("listening")) == 2
        assert _ask(gateway) == 200
        told("WATCHDOG")
        gateway.signal(signal.SIGHUP)
        told("RELOADING")
        told("READY")
        gateway.signal(signal.SIGTERM)
        told("STOPPING")
        assert gateway.wait() == 0


def test_what_it_may_write_is_there() -> None:
    """A folder for the audit file and one for the socket, and no limit to the access log."""
    for setting in ("RuntimeDirectory", "LogsDirectory", "StateDirectory"):
        assert f"\n{setting}=invopop-gateway\n" in TEXT
    # Without it the first of several instances that stops takes the others' sockets away.
    assert "\nRuntimeDirectoryPreserve=yes\n" in TEXT
    assert "\nLogRateLimitIntervalSec=0\n" in TEXT
    assert "\nPrivateUsers=" not in TEXT  # it would hide the uid of callers


def _ask(gateway: GatewayProcess) -> int:
    """A request on a connection of its own; its status."""
    headers = {"Authorization": "Bearer igw_sandbox-billing-public-by-design",
               "X-Invopop-Tenant": "acme", "Connection": "close"}  # fmt: skip
    with httpx.Client(trust_env=False, verify=False) as client:  # TLS contexts are slow to make
        return client.get(f"{gateway.url}/access/v1/workspace", headers=headers).status_code

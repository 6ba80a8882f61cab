"""The systemd unit in a booted Debian: installed by the guide, restarted under load, reloaded …

`.ci/deployments` makes the file system and the wheels, and says where they are.
"""

import json
import os
import re
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import __version__
from tests.deployments.machine import Machine
from tests.support.gateway import eventually, token_hash

ROOT = Path(__file__).parents[2]
TOKEN = "igw_a-token-of-billing-for-the-booted-machine"
VARIABLES = {"TOKEN": TOKEN, "URL": "http://127.0.0.1:8585"}
CONFIGURATION = f"""
[upstream]
url = "https://localhost:8443"
ca_file = "ca.pem"
ca_only = true

[callers.billing]
tokens = ["{token_hash(TOKEN)}"]
tenants = ["acme"]

[callers.batch]
networks = ["unix:1000"]
tenants = ["acme"]
"""
ASK = 'curl -sS --fail-with-body -H "Authorization: Bearer $TOKEN" $URL/access/v1/workspace'


def guide() -> list[str]:
    """The blocks of commands in the README's chapter on systemd."""
    chapter = (ROOT / "deploy" / "README.md").read_text().split("\n## systemd\n")[1]
    chapter = chapter.split("\n## ")[0]
    blocks = re.findall(r"(?:^    \S.*\n)+", chapter, re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """Booted, the gateway installed as the guide says, two instances, and a sandbox Invopop."""
    binds = {
        Path(os.environ["DEPLOYMENTS_RELEASE"]): "/release",
        Path(os.environ["DEPLOYMENTS_WHEELS"]): "/wheels",
        Path(__file__).parent: "/tests",
    }
    with Machine(Path(os.environ["DEPLOYMENTS_DEBIAN"]), binds) as booted:
        install, start = guide()
        booted.run(
            "printf '127.0.0.1 localhost\\n::1 localhost\\n' > /etc/hosts\n"
            f"useradd --uid 1000 batch\ncd /release\n{install}",
            PIP_NO_INDEX="1", PIP_FIND_LINKS="/wheels",
        )  # fmt: skip
        booted.run(
            "systemd-run -q --unit=sandbox -p User=batch -p StateDirectory=sandbox "
            "invopop-gateway sandbox --port 8443 --dir /var/lib/sandbox\n"
            "cd /etc/invopop-gateway\n"
            'printf %s "$CONFIGURATION" | install -m 640 /dev/stdin gateway.toml\n'
            "echo '[tenants]' | install -m 640 /dev/stdin vault.toml\n"
            "until [ -s /var/lib/sandbox/globex.key ]; do sleep 0.1; done\n"
            "install -m 644 /var/lib/sandbox/ca.pem ca.pem\n"
            "invopop-gateway keys set acme --config gateway.toml < /var/lib/sandbox/acme.key\n",
            CONFIGURATION=CONFIGURATION,
        )
        booted.run(start)
        yield booted


def state(machine: Machine, unit: str, *names: str) -> list[str]:
    """Properties of a unit."""
    asked = " ".join(f"-p {name}" for name in names)
    return machine.run(f"systemctl show --value {asked} {unit}").splitlines()


def test_it_serves_once_it_is_active(machine: Machine) -> None:
    """Both instances were started by systemd itself, which was told that they are ready."""
    for unit in ("invopop-gateway@9585", "invopop-gateway@9586"):
        assert state(machine, unit, "ActiveState", "StatusText") == ["Serving", "active"] or state(
            machine, unit, "ActiveState", "StatusText"
        ) == ["active", "Serving"]
    assert '"acme"' in machine.run(ASK, **VARIABLES)


def test_of_the_wheels_of_a_release_the_compiled_one_is_installed(machine: Machine) -> None:
    """The guide's own line finds it beside the plain one, without a network."""
    assert machine.run("invopop-gateway --version") == f"invopop-gateway {__version__} (compiled)\n"
    shown = machine.run("curl -sS http://127.0.0.1:9585/metrics")
    assert re.search(r'invopop_gateway_build_info\{.*compiled="true"', shown)


def test_one_that_cannot_start_is_not_active(machine: Machine) -> None:
    """`systemctl start` fails at once instead of calling a crash loop active."""
    machine.run("echo INVOPOP_GATEWAY__LISTEN__PORT=wrong > /etc/invopop-gateway/environment-9599")
    code, _ = machine.attempt("systemctl start invopop-gateway@9599")
    assert code != 0
    assert "LISTEN__PORT" in machine.run("journalctl -o cat -u invopop-gateway@9599")
    machine.run("systemctl stop invopop-gateway@9599; rm /etc/invopop-gateway/environment-9599")


def test_restarting_one_after_the_other_loses_nothing(machine: Machine) -> None:
    """200 requests a second, half of them on connections of their own; none fails."""
    load = machine.start(
        "/opt/invopop-gateway/bin/python /tests/load.py $URL $TOKEN 20 200", **VARIABLES
    )
    for _ in range(2):
        machine.run(
            "systemctl restart invopop-gateway@9585 && systemctl restart invopop-gateway@9586"
        )
    told, _ = load.communicate(timeout=120)
    assert json.loads(told) == {"200": 4000}


def test_a_reload_is_reported(machine: Machine) -> None:
    """A change is in force; one that is refused leaves it active, and the status says so."""
    machine.run(
        "cd /etc/invopop-gateway && cp -p gateway.toml before\n"
        "sed -i '/^.callers.billing/ a wrong = 1' gateway.toml\n"
        "systemctl reload invopop-gateway@9585 invopop-gateway@9586"
    )
    eventually(lambda: "refused" in state(machine, "invopop-gateway@9585", "StatusText")[0], 10)
    assert '"acme"' in machine.run(ASK, **VARIABLES)
    machine.run(
        "cd /etc/invopop-gateway && cat before > gateway.toml && rm before\n"
        "systemctl reload invopop-gateway@9585 invopop-gateway@9586"
    )
    eventually(lambda: state(machine, "invopop-gateway@9585", "StatusText") == ["Serving"], 10)
    assert state(machine, "invopop-gateway@9585", "ActiveState") == ["active"]


def test_root_rotates_a_key(machine: Machine) -> None:
    """Owner, group and mode stay, so the service reads it; the new key is used within seconds."""
    listed = "stat -c '%U:%G %a' /etc/invopop-gateway/vault.toml"
    before = machine.run(listed)
    assert before == "root:invopop-gateway 640\n"
    machine.run("invopop-gateway keys rotate acme < /var/lib/sandbox/globex.key",
                INVOPOP_GATEWAY_CONFIG="/etc/invopop-gateway/gateway.toml")  # fmt: skip
    assert machine.run(listed) == before
    eventually(lambda: '"globex"' in machine.run(ASK, **VARIABLES), 10)


def test_check_as_root_says_what_the_service_will_meet(machine: Machine) -> None:
    """A file that only root can read is a problem to `check`, too."""
    check = "invopop-gateway check --config /etc/invopop-gateway/gateway.toml"
    assert "rights of invopop-gateway" in machine.run(check)
    machine.run("chmod 600 /etc/invopop-gateway/gateway.toml")
    code, told = machine.attempt(check)
    machine.run("chmod 640 /etc/invopop-gateway/gateway.toml")
    assert code == 1
    assert "gateway.toml" in told


def test_files_sockets_and_credentials(machine: Machine) -> None:
    """The audit file, callers by uid at a Unix socket, and a key that only root can read."""
    machine.run(
        "cd /etc/invopop-gateway\n"
        "echo INVOPOP_GATEWAY__LISTEN__SOCKET=/run/invopop-gateway/9587.sock > environment-9587\n"
        "echo INVOPOP_GATEWAY__LISTEN__SOCKET_MODE=0666 >> environment-9587\n"
        "echo INVOPOP_GATEWAY__AUDIT__FILE=/var/log/invopop-gateway/audit-9587.jsonl "
        ">> environment-9587\n"
        "echo INVOPOP_GATEWAY__VAULT__FILE=/etc/invopop-gateway/root.toml >> environment-9587\n"
        "chmod 600 environment-9587\n"
        "install -m 600 /var/lib/sandbox/acme.key root.key\n"
        "echo '[tenants.acme]' > root.toml\n"
        """echo 'key = { file = "/run/invopop-gateway-credentials/acme" }' >> root.toml\n"""
        "chmod 640 root.toml\n"
        "mkdir -p /etc/systemd/system/invopop-gateway@9587.service.d\n"
        "printf '[Service]\\nLoadCredential=acme:/etc/invopop-gateway/root.key\\n"
        "BindReadOnlyPaths=%%d:/run/invopop-gateway-credentials\\n"
        "UnsetEnvironment=INVOPOP_GATEWAY__LISTEN__REUSE_PORT\\n'"
        " > /etc/systemd/system/invopop-gateway@9587.service.d/credentials.conf\n"
        "systemctl daemon-reload\n"
        "systemctl start invopop-gateway@9587 || { journalctl -u invopop-gateway@9587; exit 1; }"
    )
    ask = "curl -sS --unix-socket /run/invopop-gateway/9587.sock http://gateway/access/v1/workspace"
    assert '"acme"' in machine.run(f"runuser -u batch -- {ask}")
    assert "unauthenticated" in machine.run(ask)
    audit = machine.run("cat /var/log/invopop-gateway/audit-9587.jsonl")
    assert '"caller":"batch"' in audit
    # Another instance that stops leaves this one's socket where it is.
    machine.run("systemctl restart invopop-gateway@9586")
    assert '"acme"' in machine.run(f"runuser -u batch -- {ask}")
    machine.run("systemctl stop invopop-gateway@9587")


def test_a_process_that_hangs_is_started_again(machine: Machine) -> None:
    """The watchdog's heartbeat comes from the event loop."""
    machine.run(
        "mkdir -p /run/systemd/system/invopop-gateway@9586.service.d\n"
        "printf '[Service]\\nWatchdogSec=2s\\nRestartSec=100ms\\n'"
        " > /run/systemd/system/invopop-gateway@9586.service.d/soon.conf\n"
        "systemctl daemon-reload && systemctl restart invopop-gateway@9586"
    )
    (first,) = state(machine, "invopop-gateway@9586", "MainPID")
    time.sleep(3)  # longer than the manager's patience: heartbeats do come
    assert state(machine, "invopop-gateway@9586", "MainPID") == [first]
    machine.run(f"kill -STOP {first}")
    eventually(lambda: state(machine, "invopop-gateway@9586", "NRestarts") == ["1"], 30)
    eventually(lambda: state(machine, "invopop-gateway@9586", "ActiveState") == ["active"], 30)


def test_a_stop_finishes_what_is_in_flight(machine: Machine) -> None:
    """A request whose body is still arriving is answered; then the port is closed."""
    machine.run("systemctl stop invopop-gateway@9586")
    asking = machine.start(
        'exec 3<> /dev/tcp/127.0.0.1/8585\n'
        'printf "POST /silo/v1/entries HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: 7\\r\\n'
        'Authorization: Bearer $TOKEN\\r\\nContent-Type: application/json\\r\\n\\r\\n{" >&3\n'
        "sleep 0.5\nsystemctl stop --no-block invopop-gateway@9585\n"
        "until systemctl show -p StatusText invopop-gateway@9585 | grep Finishing; do sleep 0.1\n"
        'done\nsleep 1.5\nprintf \'"a":1}\' >&3\ncat <&3\n',
        **VARIABLES,
    )  # fmt: skip
    told, _ = asking.communicate(timeout=60)
    assert "HTTP/1.1 " in told
    assert "X-Gateway-Error" not in told
    eventually(
        lambda: (
            state(machine, "invopop-gateway@9585", "ActiveState", "Result")
            == ["success", "inactive"]
            or state(machine, "invopop-gateway@9585", "ActiveState", "Result")
            == ["inactive", "success"]
        ),
        30,
    )
    log = machine.run("journalctl -o cat -u invopop-gateway@9585")
    assert '"drain_started"' in log
    assert '"process_stopped"' in log

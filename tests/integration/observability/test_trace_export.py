"""The way of traces to their receiver: over TLS, at exit, and where there is none."""

import subprocess
import sys
from pathlib import Path

from tests.support.certificates import server_context
from tests.support.collector import Collector
from tests.support.gateway import GatewayProcess, run, write_toml
from tests.support.traced_gateway import Traced
from tests.support.world import ENVIRON, VAULT, World, settings

COLLECTOR_KEY = "sentinel-key-of-the-collector-000000000001"


def test_what_is_left_leaves_at_exit(tmp_path: Path) -> None:
    """Spans of the last request are not lost with the process."""
    with Collector() as collector, Traced(tmp_path, collector) as made:
        made.get("/x", "X-Request-Id: last")
        assert made.gateway.stop() == 0
        assert [s for s in collector.spans() if "last" in s.attributes.values()]


def test_a_receiver_that_hangs_holds_up_no_exit(tmp_path: Path) -> None:
    """The flush at exit is bounded."""
    with Collector() as collector, Traced(tmp_path, collector) as made:
        collector.gate.clear()
        made.get("/x")
        assert made.gateway.stop() == 0


def test_over_tls_with_a_secret_header(tmp_path: Path) -> None:
    """`ca_file` is believed, `headers` come from a secret source; neither is told anywhere."""
    world = World(tmp_path)
    context = server_context(world.authority.certificate("localhost"))
    with Collector(context) as collector:
        tracing = {
            "endpoint": f"https://localhost:{collector.port}/otlp",
            "ca_file": str(world.authority.ca_file),
            "headers": {"x-api-key": {"env": "COLLECTOR_KEY"}},
            "service_name": "gateway-of-tests",
        }
        configured = settings(world.origin, world.authority.ca_file, world.issuer)
        gateway = GatewayProcess(
            tmp_path,
            configured | {"tracing": tracing},
            VAULT,
            {**ENVIRON, "COLLECTOR_KEY": COLLECTOR_KEY, "HTTPS_PROXY": "http://127.0.0.1:1"},
        )
        with gateway:
            world.gateway = gateway
            world.get("/x", "X-Request-Id: tls")
            collector.trace("tls")
            assert collector.heads[-1]["x-api-key"] == COLLECTOR_KEY
            assert {*collector.paths} == {"/otlp"}
            assert collector.resource()["service.name"] == "gateway-of-tests"
            assert gateway.stop() == 0
            assert COLLECTOR_KEY not in "\n".join(gateway.lines())
    world.origin.hang_up()


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    """The command that fixes it, and no traceback."""
    blocked = tmp_path / "blocked" / "opentelemetry"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ModuleNotFoundError('opentelemetry')\n")
    environ = {**ENVIRON, "PYTHONPATH": str(blocked.parent)}
    world = World(tmp_path)
    configured = settings(world.origin, world.authority.ca_file, world.issuer)
    configured["tracing"] = {"endpoint": "http://127.0.0.1:4318"}
    write_toml(tmp_path / "gateway.toml", configured)
    write_toml(tmp_path / "vault.toml", VAULT)
    world.origin.hang_up()
    code, output = run(["check", "--config", str(tmp_path / "gateway.toml")], environ)
    assert code == 1
    assert "tracing.endpoint" in output
    assert "pip install 'invopop-gateway[otel]'" in output


def test_without_an_endpoint_nothing_of_it_is_loaded() -> None:
    """Whoever does not trace does not pay for it, nor need it installed."""
    program = (
        "import sys, gateway.cli.serve, gateway.app; "
        "print([m for m in sys.modules if m.startswith(('opentelemetry', 'requests', 'google'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"

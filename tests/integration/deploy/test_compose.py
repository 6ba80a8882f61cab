"""`compose.yaml`, and its configuration for real: the sandbox and the gateway as processes."""

import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import yaml

from gateway import __version__
from gateway.identity.tokens import hash_token, is_genuine
from gateway.settings.schema import ListenSettings
from tests.support.gateway import GatewayProcess
from tests.support.prometheus import DEPLOY

GATEWAY_TOML = (DEPLOY / "compose" / "gateway.toml").read_text()
TOKENS = dict(re.findall(r"(?m)^\[callers\.(\w+)\] +# token: (\S+)$", GATEWAY_TOML))
SERVICES: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


def test_it_is_a_compose_file(program: Callable[[str], str]) -> None:
    """It satisfies the Compose specification's schema."""
    command = (program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec")
    file = str(DEPLOY / "compose.yaml")
    done = subprocess.run([*command, file], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout


def test_what_is_mounted_is_there() -> None:
    """Every path of the repository that a container mounts exists, and is mounted read-only."""
    mounts = [v for s in SERVICES.values() for v in s.get("volumes", ()) if v.startswith(".")]
    assert len(mounts) == 4
    for mount in mounts:
        source, _, mode = mount.split(":")
        assert (DEPLOY / source).is_dir()
        assert mode == "ro"


def test_images_are_pinned_and_ports_published_on_loopback_only() -> None:
    """No image floats, and nobody but this machine reaches the public tokens."""
    for service in SERVICES.values():
        name, _, tag = service["image"].rpartition(":")
        assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag)
        assert tag == __version__ or name != "invopop-gateway"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_nobody_phones_home() -> None:
    """Grafana's reports, update checks, news, plugins, pictures and uploads are off."""
    environ = SERVICES["grafana"]["environment"]
    off = ("ANALYTICS_REPORTING_ENABLED", "ANALYTICS_CHECK_FOR_UPDATES", "NEWS_NEWS_FEED_ENABLED",
           "ANALYTICS_CHECK_FOR_PLUGIN_UPDATES", "SNAPSHOTS_EXTERNAL_ENABLED")  # fmt: skip
    disabled = ("PLUGINS_PREINSTALL_DISABLED", "SECURITY_DISABLE_GRAVATAR",
                "PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED")  # fmt: skip
    assert {environ[f"GF_{name}"] for name in off} == {"false"}
    assert {environ[f"GF_{name}"] for name in disabled} == {"true"}
    assert not any("INSTALL_PLUGINS" in name for name in environ)


def test_each_can_be_restarted_alone() -> None:
    """Only a container that does nothing else holds the network that all of them share."""
    joined = {name: service.get("network_mode") for name, service in SERVICES.items()}
    assert joined.pop("network") is None
    assert set(joined.values()) == {"service:network"}
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["network"]
    assert SERVICES["gateway"]["depends_on"] == {"sandbox": {"condition": "service_healthy"}}


def test_it_has_a_name_and_a_health_check_of_its_own() -> None:
    """Not the folder's name; and the check is the image's, which podman does not keep."""
    assert yaml.safe_load((DEPLOY / "compose.yaml").read_text())["name"] == "invopop-gateway"
    _, *words = SERVICES["gateway"]["healthcheck"]["test"]
    image = (DEPLOY / "Dockerfile").read_text()
    asked = "int(os.environ.get('INVOPOP_GATEWAY__ADMIN__PORT', '9585'))"
    assert json.dumps(words[-1]) in image.replace(asked, "9585").replace("import os, ", "import ")


def test_a_stop_waits_for_the_drain() -> None:
    """The engine waits longer than the gateway does for requests in flight."""
    listen = ListenSettings.model_validate(tomllib.loads(GATEWAY_TOML)["listen"])
    grace = int(SERVICES["gateway"]["stop_grace_period"].removesuffix("s"))
    assert grace >= listen.drain_delay + listen.drain_timeout + 5
    assert SERVICES["gateway"]["stop_signal"] == "SIGTERM"


def test_nobody_has_more_rights_than_needed() -> None:
    """No capability, none to be had; our own containers' file systems are read-only."""
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("read_only", False) == (name in {"network", "sandbox", "gateway"})


def test_tokens_are_public_by_design() -> None:
    """The token in each caller's comment is its own, and is none that the program would make."""
    callers = tomllib.loads(GATEWAY_TOML)["callers"]
    assert TOKENS.keys() == callers.keys()
    for name, token in TOKENS.items():
        assert callers[name]["tokens"] == [hash_token(token)]
        assert "sandbox" in token
        assert not is_genuine(token)


@pytest.mark.parametrize("tenant", ["acme", "globex"])
def test_the_gateway_reaches_the_sandbox(compose: GatewayProcess, tenant: str) -> None:
    """With the token in the comment, a request gets the workspace of the tenant that it names."""
    headers = {"Authorization": f"Bearer {TOKENS['billing']}", "X-Invopop-Tenant": tenant}
    with httpx.Client(base_url=compose.url, headers=headers, trust_env=False) as client:
        reply = client.get("/access/v1/workspace")
    assert reply.status_code == 200
    assert reply.json()["slug"] == tenant

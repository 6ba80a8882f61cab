"""The examples of Invopop's API reference, through the gateway, against the sandbox."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import GatewayProcess, token_hash

TOKEN = "igw_sentinel-token-of-the-seed-0000000000"
SEED = Path(__file__).parent / "seed"


def tool(name: str) -> str:
    """The path of a program; without it the test is skipped, but never where CI runs."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    found = shutil.which(name, path=beside)
    if found is None:
        told = f"{name} is not installed: the examples that need it are NOT tested"
        assert not os.environ.get("CI"), told
        pytest.skip(told)
    return found


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The sandbox as a process: its URL, and the directory with its CA and sample keys."""
    directory = tmp_path_factory.mktemp("sandbox")
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "gateway", "sandbox", "--port", "0", "--dir", str(directory)],
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    url = ""
    while not url:
        line = process.stdout.readline()
        assert line, "the sandbox did not start"
        found = re.search(r"https://\S+:\d+", line)
        url = found[0] if found else ""
    yield url, directory
    process.terminate()
    process.communicate(timeout=10)


@pytest.fixture(scope="module")
def gateway(
    sandbox: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """The gateway in front of it, with one caller for one tenant."""
    url, directory = sandbox
    settings = {
        "listen": {"port": 0},
        "admin": {"port": 0},
        "upstream": {"url": url, "ca_file": str(directory / "ca.pem"), "ca_only": True},
        "callers": {"seed": {"tokens": [token_hash(TOKEN)], "tenants": ["acme"]}},
    }
    vault = {"tenants": {"acme": {"key": {"file": str(directory / "acme.key")}}}}
    with GatewayProcess(tmp_path_factory.mktemp("seed"), settings, vault) as process:
        yield process


def curl(*arguments: str) -> str:
    """What curl prints; it fails on an error status."""
    command = [tool("curl"), "--silent", "--show-error", "--fail", "--noproxy", "*", *arguments]
    return subprocess.run(command, capture_output=True, check=True, timeout=20, text=True).stdout


def test_curl_of_the_version(gateway: GatewayProcess) -> None:
    """The reference's request for the version, URL and token replaced, gives a JSON string."""
    printed = curl(f"{gateway.url}/auth/version", "-H", f"Authorization: Bearer {TOKEN}")
    assert re.search(r"\d", json.loads(printed))


def test_curl_of_any_endpoint(gateway: GatewayProcess) -> None:
    """The reference's request to authorize: any endpoint, the same header."""
    printed = curl(f"{gateway.url}/utils/v1/ping", "-H", f"Authorization: Bearer {TOKEN}")
    assert isinstance(json.loads(printed), dict)


def test_curl_without_authorization_fails(gateway: GatewayProcess) -> None:
    """Requests without authentication fail."""
    with pytest.raises(subprocess.CalledProcessError) as failure:
        curl(f"{gateway.url}/auth/version")
    assert "401" in failure.value.stderr


def test_curl_through_the_gateway_as_proxy(
    gateway: GatewayProcess, sandbox: tuple[str, Path]
) -> None:
    """An unchanged client that takes the gateway for its HTTP proxy is served as well."""
    host = sandbox[0].removeprefix("https://")
    proxy = gateway.url.replace("http://", f"http://seed:{TOKEN}@")
    command = [
        tool("curl"),
        "-sSf",
        "--noproxy",
        "",
        "--proxy",
        proxy,
        f"http://{host}/auth/version",
    ]
    done = subprocess.run(command, capture_output=True, check=True, timeout=20, text=True)
    assert isinstance(json.loads(done.stdout), str)


def test_go_program(gateway: GatewayProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The reference's Go program, standard library only, decodes the version into a string."""
    # Beside this user's other temporary directories, so that a second run finds it warm.
    cache = tmp_path_factory.getbasetemp().parent / "go-build-cache"
    binary = tmp_path_factory.mktemp("go") / "version"
    environ = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "GOCACHE": str(cache), "GOPROXY": "off", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }  # fmt: skip
    subprocess.run(
        [tool("go"), "build", "-o", str(binary), "."],
        cwd=SEED,
        env=environ,
        check=True,
        timeout=300,
    )
    done = subprocess.run(
        [str(binary), gateway.url, TOKEN], capture_output=True, timeout=20, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d", done.stdout)

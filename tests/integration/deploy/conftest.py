"""Programs that only these tests need, and the configuration of `compose.yaml` as processes."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.gateway import GatewayProcess
from tests.support.manifests import KUBERNETES, Build, Manifest
from tests.support.prometheus import DEPLOY


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Finds a program by name. Where it is missing the test is skipped; in CI it fails."""

    def find(name: str) -> str:
        # What Python packages ship lies beside the interpreter, which need not be on the path.
        where = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        path = shutil.which(name, path=where)
        if path is None and os.environ.get("CI"):
            pytest.fail(f"{name} is not installed, and CI must not go without")
        if path is None:
            pytest.skip(f"{name} is not installed: what it would check is NOT CHECKED")
        return path

    return find


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The sandbox Invopop as a process, as compose runs it: its port, and where its keys are."""
    directory = tmp_path_factory.mktemp("sandbox")
    command = (sys.executable, "-m", "gateway", "sandbox", "--port", "0", "--dir", str(directory))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert "listens on https://localhost:" in first, first
            # The files are written before the line is.
            yield int(first.rpartition(":")[2]), directory
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="session")
def configuration(sandbox: tuple[int, Path]) -> Callable[[str], dict[str, Any]]:
    """The files of compose's configuration as they are, but for ports and the volume's path."""
    port, volume = sandbox

    def read(name: str) -> dict[str, Any]:
        text = (DEPLOY / "compose" / name).read_text()
        text = text.replace("/sandbox/", f"{volume}/").replace(":8443", f":{port}")
        return tomllib.loads(text.replace("= 8585", "= 0").replace("= 9585", "= 0"))

    return read


@pytest.fixture(scope="session")
def compose(
    configuration: Callable[[str], dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """The gateway with compose's configuration."""
    directory = tmp_path_factory.mktemp("compose")
    files = configuration("gateway.toml"), configuration("vault.toml")
    with GatewayProcess(directory, *files) as gateway:
        yield gateway
        assert gateway.stop() == 0


@pytest.fixture(scope="session")
def build(program: Callable[[str], str]) -> Build:
    """Builds an overlay; each is built once."""
    built: dict[str, list[Manifest]] = {}

    def get(overlay: str) -> list[Manifest]:
        if overlay not in built:
            command = (program("kubectl"), "kustomize", str(KUBERNETES / "overlays" / overlay))
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
            assert done.returncode == 0, done.stderr
            assert done.stderr == ""
            built[overlay] = list(yaml.safe_load_all(done.stdout))
        return built[overlay]

    return get

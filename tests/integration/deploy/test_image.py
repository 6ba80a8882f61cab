"""The image: what goes into it is pinned and hashed, and what the Dockerfile says is true."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.gateway import GatewayProcess
from tests.support.prometheus import DEPLOY

ROOT = DEPLOY.parent
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
REQUIREMENTS = (DEPLOY / "requirements.txt").read_text()


def instruction(name: str) -> str:
    """The last of the Dockerfile's instructions of that name, on one line."""
    joined = DOCKERFILE.replace("\\\n", " ")
    found: list[str] = re.findall(rf"(?m)^{name} (.*)$", joined)
    return found[-1].strip()


def exec_form(text: str) -> list[str]:
    """The words of an instruction in exec form: a JSON list, so no shell is needed."""
    words = json.loads(text[text.index("[") :])
    assert all(isinstance(word, str) for word in words)
    return list(words)


def check_form(requirements: str) -> None:
    """Each line pins one version and names its files by SHA-256; none says where from."""
    lines = re.split(r"(?m)\n(?=\S)", requirements.strip())
    pinned = re.compile(r"[a-z0-9-]+==[\w.]+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+")
    assert [line for line in lines if not pinned.fullmatch(line)] == []
    assert "://" not in requirements
    assert "@" not in requirements
    assert names_in(requirements) >= dependencies()


def names_in(requirements: str) -> set[str]:
    """The packages that are pinned."""
    return set(re.findall(r"(?m)^([a-z0-9-]+)==", requirements))


def dependencies() -> set[str]:
    """What the project itself asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {re.split(r"[<>=~! ;\[]", line)[0] for line in project["dependencies"]}


def test_every_dependency_is_pinned_and_hashed() -> None:
    """No dependency was added without making the file anew."""
    check_form(REQUIREMENTS)


def test_one_command_makes_it_anew(program: Callable[[str], str], tmp_path: Path) -> None:
    """It makes a file of this form, from the lock alone. Its versions may be newer by then."""
    program("uv")
    for name in ("uv.lock", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "deploy").mkdir()
    script = shutil.copy(DEPLOY / "requirements.sh", tmp_path / "deploy")
    subprocess.run([script], check=True, timeout=30)
    check_form((tmp_path / "deploy" / "requirements.txt").read_text())


def test_hadolint_finds_nothing(program: Callable[[str], str]) -> None:
    """Docker's linter has no objection, not even an informal one."""
    command = (program("hadolint"), "--failure-threshold", "style", str(DEPLOY / "Dockerfile"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_copied_is_there() -> None:
    """Every COPY from the build context finds its source, and .dockerignore hides none."""
    sources = re.findall(r"(?m)^COPY (?!--from)(\S+) \S+$", DOCKERFILE)
    assert sources == ["deploy/requirements.txt", "gateway"]
    ignored = (ROOT / ".dockerignore").read_text().split()
    for source in sources:
        assert (ROOT / source).exists()
        assert source.split("/")[0] not in ignored


def test_it_runs_as_nobody_and_without_a_shell() -> None:
    """A numeric user other than root; entry point and default command in exec form."""
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", instruction("USER"))
    command = [*exec_form(instruction("ENTRYPOINT")), *exec_form(instruction("CMD"))]
    assert command[0] == "python"
    help_text = subprocess.run(
        [sys.executable, *command[1:], "--help"],
        capture_output=True, text=True, cwd=ROOT, check=True, timeout=30,
        env={"PYTHONPATH": str(ROOT)},
    ).stdout  # fmt: skip
    assert "Run the gateway" in help_text


@pytest.mark.parametrize(("alive", "code"), [(True, 0), (False, 1)])
def test_the_health_check_tells(compose: GatewayProcess, alive: bool, code: int) -> None:
    """The image's own health check says 0 of a gateway that lives, and 1 where none is."""
    words = exec_form(instruction("HEALTHCHECK"))
    assert words[0] == "python"
    port = compose.admin_port if alive else 1
    environ = {"INVOPOP_GATEWAY__ADMIN__PORT": str(port), "http_proxy": "http://127.0.0.1:1"}
    done = subprocess.run([sys.executable, *words[1:]], env=environ, capture_output=True,
                          timeout=30, check=False)  # fmt: skip
    assert done.returncode == code

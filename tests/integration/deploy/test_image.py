"""The image: what goes into it is pinned and hashed, and what the Dockerfile says is true."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gateway import __version__
from tests.support.gateway import GatewayProcess
from tests.support.prometheus import DEPLOY

ROOT = DEPLOY.parent
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
REQUIREMENTS = ("requirements.txt", "requirements-build.txt")


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


def pins(name: str) -> dict[str, str]:
    """The versions in a file of requirements, by name."""
    return dict(re.findall(r"(?m)^([a-z0-9-]+)==([\w.]+)", (DEPLOY / name).read_text()))


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    """Each line pins one version and names its files by SHA-256; none says where from."""
    text = (DEPLOY / name).read_text()
    requirements = re.split(r"(?m)\n(?=\S)", text.strip())
    assert len(requirements) > 10
    pinned = re.compile(r"[a-z0-9-]+==[\w.]+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+")
    assert [line for line in requirements if not pinned.fullmatch(line)] == []
    assert "://" not in text
    assert "@" not in text


def test_pins_are_within_what_the_project_asks_for() -> None:
    """No dependency was added or moved without `deploy/requirements.sh` being run again: of the
    gateway, of its build, or of the hook that compiles it.
    """
    hook = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
    build = [*PROJECT["build-system"]["requires"], *hook["dependencies"]]
    for name, wanted in zip(REQUIREMENTS, (PROJECT["project"]["dependencies"], build), strict=True):
        pinned = pins(name)
        for requirement in map(Requirement, wanted):
            version = pinned[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), requirement


def test_hadolint_finds_nothing(program: Callable[[str], str]) -> None:
    """Docker's linter has no objection, not even an informal one."""
    command = (program("hadolint"), "--failure-threshold", "style", str(DEPLOY / "Dockerfile"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_any_engine_can_build_it() -> None:
    """Nothing is fetched to read the Dockerfile, and its base can be named by digest."""
    assert "syntax=" not in DOCKERFILE
    assert re.findall(r"(?m)^FROM (\S+)", DOCKERFILE) == ["${BASE}", "${BASE}"]
    assert re.search(r"(?m)^ARG BASE=python:3\.12-slim-bookworm@sha256:[0-9a-f]{64}$", DOCKERFILE)


def test_its_labels_are_true() -> None:
    """The version and the licence are the project's own."""
    project = PROJECT["project"]
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', DOCKERFILE))
    assert labels["title"] == project["name"]
    assert labels["version"] == __version__
    assert labels["licenses"] == project["license"]


def test_what_is_copied_is_there() -> None:
    """Every COPY from the build context finds its sources, and .dockerignore hides none."""
    copied = re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", DOCKERFILE)
    sources = [source for line in copied for source in line.split()]
    assert {*(f"deploy/{name}" for name in REQUIREMENTS), "pyproject.toml", "gateway"} < {*sources}
    ignored = (ROOT / ".dockerignore").read_text().split()
    for source in sources:
        assert (ROOT / source).exists()
        assert source.split("/")[0] not in ignored


def test_nothing_that_builds_it_is_left_in_it() -> None:
    """The image takes an environment and an empty folder of the stage with compiler and tools, and
    installs nothing itself.
    """
    image = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert re.findall(r"(?m)^COPY .*?(\S+) \S+$", image) == ["/opt/gateway", "/sandbox"]
    assert "\nRUN" not in image
    assert "\nADD" not in image


def test_it_runs_as_nobody_and_without_a_shell() -> None:
    """A numeric user other than root; entry point and default command in exec form."""
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", instruction("USER"))
    program, *words = exec_form(instruction("ENTRYPOINT")) + exec_form(instruction("CMD"))
    assert program in PROJECT["project"]["scripts"]
    help_text = subprocess.run(
        [sys.executable, "-m", "gateway", *words, "--help"],
        capture_output=True, text=True, cwd=ROOT, check=True, timeout=60,
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


def test_no_document_promises_a_package_index() -> None:
    """The name is on none yet: only the page on publishing says what will be promised then."""
    documents = [
        *ROOT.glob("*.md"),
        *ROOT.glob("config/*"),
        *DEPLOY.rglob("*.md"),
        *DEPLOY.rglob("*.yaml"),
    ]
    assert len(documents) > 10
    promise = re.compile(
        r"(pip|pipx|uv tool|uv pip) install '?invopop-gateway|uvx '?invopop-gateway"
    )
    promising = {
        path.name for path in documents if path.is_file() and promise.search(path.read_text())
    }
    assert promising == {"publishing.md"}

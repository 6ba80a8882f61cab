"""The image's build steps, run without a container engine, and its program as the image's user."""

import os
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gateway import __version__
from tests.support.image import NOBODY, ROOT, Image, as_nobody, public_interpreter


@pytest.fixture(scope="module")
def image(program: Callable[[str], str]) -> Iterator[Image]:
    """The image, in a directory that everybody may read."""
    interpreter = public_interpreter()
    if not interpreter and os.environ.get("CI"):
        pytest.fail("no Python that another user may run, and CI must not go without")
    if not interpreter:
        pytest.skip("no Python that another user may run: the image is NOT CHECKED")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Image(Path(name), program("uv"), interpreter)


@pytest.fixture
def home(image: Image) -> Iterator[Path]:
    """Where the image's user may write: what `--tmpfs /tmp` is to a container."""
    with tempfile.TemporaryDirectory() as name:
        if not os.getuid():
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def run(image: Image, home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Runs the image's Python as the image's user, with nothing on the path but the image."""
    command = [image.python, "-P", *words]
    environ = {"PATH": str(Path(image.python).parent), "TMPDIR": str(home), "COLUMNS": "120",
               "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
    return subprocess.run(
        command, env=environ, cwd=home, capture_output=True, text=True, timeout=60, check=False,
        **as_nobody(),
    )  # fmt: skip


def needed(wanted: list[str], installed: dict[str, Distribution]) -> set[str]:
    """Everything that these requirements lead to, each found in a version that they accept."""
    todo, found = [(Requirement(text), "") for text in wanted], set()
    while todo:
        requirement, extra = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        distribution = installed[name]
        assert requirement.specifier.contains(distribution.version, prereleases=True), requirement
        for asked in {"", *requirement.extras}:
            if (name, asked) not in found:
                found.add((name, asked))
                todo += [(Requirement(text), asked) for text in distribution.requires or ()]
    return {str(name) for name, _ in found}


def test_hashed_wheels_are_all_that_it_takes(image: Image) -> None:
    """Every hash holds, nothing that is needed is missing, and nothing else is installed: neither
    a compiler's part nor a build tool.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    folders = [str(path) for path in image.root.glob("opt/gateway/lib/python*/site-packages")]
    found = distributions(path=folders)
    installed = {str(canonicalize_name(one.metadata["Name"])): one for one in found}
    assert needed([project["name"]], installed) == installed.keys()
    assert installed[project["name"]].version == __version__


def test_the_tour_works_for_nobody_in_a_file_system_that_is_read_only(
    image: Image, home: Path
) -> None:
    """`demo --once`: sandbox and gateway, as the image's user, without a shell; nothing is left."""
    before = image.files()
    done = run(image, home, image.command, "demo", "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    assert image.files() == before
    assert list(home.iterdir()) == []


def test_that_user_can_change_nothing(image: Image, home: Path) -> None:
    """Its own code is closed to it; and the bytecode is there, which it could not write."""
    package = next(image.root.glob("opt/gateway/lib/python*/site-packages/gateway"))
    attempt = f"open({str(package / 'app.py')!r}, 'a')"
    if not os.getuid():
        assert "PermissionError" in run(image, home, "-c", attempt).stderr
    sources = {path.stem for path in package.glob("*.py")}
    compiled = {path.name.split(".")[0] for path in package.glob("__pycache__/*.pyc")}
    assert compiled == sources

"""The snippets of `config/clients.md`, run as they stand there."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.world import KEY_A, TOK_A, World

PAGE = (Path(__file__).parents[3] / "config" / "clients.md").read_text()
BASE_URL = PAGE.split("\n## Base URL\n")[1].split("\n## ")[0]
SNIPPETS = re.findall(r"```(\w+)\n(.*?)```", BASE_URL, re.DOTALL)
SCRIPTS = Path(sysconfig.get_path("scripts"))
# language -> how its file is called and run
RUN = {
    "sh": ("call.sh", ["bash"]),
    "python": ("call.py", [sys.executable]),
    "js": ("call.mjs", ["node"]),
    "go": ("call.go", ["go", "run"]),
    "ruby": ("call.rb", ["ruby"]),
    "java": ("Workspace.java", ["java"]),
}
# Continuous integration has these; elsewhere a language may be missing.
ALWAYS = {"sh", "python", "js", "go", "ruby"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One gateway for all of them."""
    with World(tmp_path_factory.mktemp("snippets")) as world:
        yield world


def test_every_language_is_there() -> None:
    """At least those that are promised, and none that no test can run."""
    languages = {language for language, _ in SNIPPETS}
    assert languages >= ALWAYS
    assert languages <= RUN.keys()


@pytest.mark.parametrize(
    ("language", "code"), SNIPPETS, ids=[f"{n}-{s[0]}" for n, s in enumerate(SNIPPETS)]
)
def test_a_snippet_works_as_it_is(
    world: World, tmp_path_factory: pytest.TempPathFactory, language: str, code: str
) -> None:
    """It gets Invopop's answer, and Invopop sees the tenant's key and nothing of the caller's."""
    name, command = RUN[language]
    tmp_path = tmp_path_factory.mktemp("snippet")
    program = shutil.which(command[0], path=f"{SCRIPTS}:{os.environ['PATH']}")
    if program is None:
        if language in ALWAYS and os.environ.get("CI"):
            pytest.fail(f"there is no {command[0]} here")
        pytest.skip(f"there is no {command[0]} here")
    (tmp_path / name).write_text(code)
    world.origin.start_over()
    environ = {
        "PATH": f"{SCRIPTS}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "GATEWAY": f"http://127.0.0.1:{world.gateway.port}",
        "TOKEN": TOK_A,
        # Shared with other tests, so that Go's own library is compiled once.
        "GOCACHE": str(tmp_path_factory.getbasetemp().parent / "go-build-cache"),
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
    }
    done = subprocess.run(
        [program, *command[1:], name],
        capture_output=True, text=True, cwd=tmp_path, env=environ, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (seen,) = world.origin.requests
    assert seen.target == b"/access/v1/workspace"
    assert seen.all("authorization") == [f"Bearer {KEY_A}"]
    assert seen.all("x-invopop-tenant") == []
    assert done.stdout.strip() != ""

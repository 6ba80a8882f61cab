"""CONTRIBUTING.md, held against the repository."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()


def test_every_path_that_it_names_exists() -> None:
    """Files and folders of the project, and the test that it gives as an example."""
    paths = re.findall(r"\b((?:gateway|tests|config|deploy)/[\w./-]*\w)", GUIDE)
    for named in (path for path in paths if "NAME" not in path):
        assert (ROOT / named).exists(), named
    path, name = re.findall(r"pytest ([\w./]+)::(\w+)", GUIDE)[0]
    assert f"def {name}(" in (ROOT / path).read_text()


def test_it_names_every_check_of_continuous_integration() -> None:
    """Nothing can fail there that a contributor could not run before."""
    script = (ROOT / ".ci" / "run").read_text()
    commands = re.findall(r"^uv run (.+?)(?: --check)? *\.?$", script, re.MULTILINE)
    assert commands
    for command in commands:
        assert f"uv run {command}" in GUIDE, command

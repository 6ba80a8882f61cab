"""The list of integration tests, held against the folder."""

import re
from pathlib import Path

SUITE = Path(__file__).parents[2] / "integration"


def test_every_file_and_folder_is_listed_once() -> None:
    """And nothing that is not there."""
    listed = re.findall(r"^\| `([\w./]+)` \|", (SUITE / "README.md").read_text(), re.MULTILINE)
    files = [path.name for path in SUITE.glob("test_*.py")]
    folders = [f"{path.parent.name}/" for path in SUITE.glob("*/conftest.py")]
    folders += [f"{path.parent.name}/" for path in SUITE.glob("*/test_*.py")]
    assert sorted(listed) == sorted({*files, *folders})

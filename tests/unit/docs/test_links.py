"""Links within the documents lead somewhere, to a file or a heading of it."""

import re
from pathlib import Path

import pytest

from tests.support.guarantees import ROOT

FOLDERS = [ROOT / name for name in ("config", "deploy", "tests")]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(path for f in FOLDERS for path in f.rglob("*.md"))])


def anchors(path: Path) -> set[str]:
    """The names by which a document's headings can be linked."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    plain = [re.sub(r"[^a-z0-9 _-]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    """Relative links point at files of this repository, and at headings that they have."""
    for file, _, anchor in re.findall(r"\]\(([^)#\s]*)(#([^)\s]+))?\)", path.read_text()):
        if file.startswith("http"):
            continue
        target = path.parent / file if file else path
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), f"{file}#{anchor}"

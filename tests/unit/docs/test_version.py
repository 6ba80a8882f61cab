"""The version is said in one place; wherever else it must stand, it is the same."""

import re
from pathlib import Path

import pytest

from gateway import __version__

ROOT = Path(__file__).parents[3]
PLACES = {
    "deploy/Dockerfile": r"invopop-gateway:(\d[\w.]*)",
    "deploy/README.md": r"invopop-gateway(?::|==)(\d[\w.]*)",
    "deploy/compose.yaml": r"invopop-gateway:(\d[\w.]*)",
    "deploy/kubernetes/overlays/shared/kustomization.yaml": r"newTag: ([\w.]+)",
    "deploy/kubernetes/overlays/sidecar/kustomization.yaml": r"newTag: ([\w.]+)",
    "CHANGELOG.md": r"\A# Changelog\n[^#]*\n## ([\w.]+)",
}


@pytest.mark.parametrize("place", PLACES)
def test_every_place_names_this_version(place: str) -> None:
    """Images are tagged, and changes listed, under the version that the program reports."""
    found = re.findall(PLACES[place], (ROOT / place).read_text())
    assert found
    assert set(found) == {__version__}

"""What a package index shows of a release: links, and a README that reads well there."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from markdown_it import MarkdownIt

from gateway import __version__
from tests.support.ci_hooks import hook
from tests.support.guarantees import ROOT

URL = "https://code.example/acme/invopop-gateway"
FILES = f"{URL}/blob/v{__version__}"


HOOK = hook("metadata_hook")


def _build(project: Path, out: Path, kind: str, **variables: str) -> Path:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PROJECT_")}
    command = (sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out))
    subprocess.run(
        command, cwd=project, env=environment | variables, check=True, capture_output=True
    )
    return next(out.iterdir())


def _metadata(wheel: Path) -> str:
    with ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return archive.read(name).decode()


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The metadata of a wheel that was built with an address."""
    return _metadata(_build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel", PROJECT_URL=URL))


def _links(page: str) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]*)"', page)


def test_a_release_has_links(released: str) -> None:
    """Under the labels that package indexes know, to files as they were at that version."""
    assert dict(re.findall(r"^Project-URL: ([^,]+), (.+)$", released, re.MULTILINE)) == {
        "Homepage": URL,
        "Documentation": f"{FILES}/README.md",
        "Changelog": f"{FILES}/CHANGELOG.md",
        "Issues": f"{URL}/issues",
        "Security": f"{FILES}/SECURITY.md",
        "Source": URL,
    }
    assert "\nDescription-Content-Type: text/markdown\n" in released


def test_no_link_of_its_readme_is_relative(released: str) -> None:
    """Each leads to a file of this repository; there are as many as on the code host's page."""
    renderer = MarkdownIt("commonmark").enable("table")
    links = _links(renderer.render(released.split("\n\n", 1)[1]))
    assert len(links) == len(_links(renderer.render((ROOT / "README.md").read_text())))
    for link in links:
        assert link.startswith(f"{FILES}/"), link
        assert (ROOT / link.removeprefix(f"{FILES}/").partition("#")[0]).is_file(), link


def test_the_source_distribution_builds_the_same_wheel(released: str, tmp_path: Path) -> None:
    """Whoever builds it needs no address, and cannot change it by accident."""
    archive = _build(ROOT, tmp_path / "sdist", "sdist", PROJECT_URL=URL)
    subprocess.run(["tar", "-xf", archive, "-C", tmp_path], check=True)
    source = tmp_path / f"invopop_gateway-{__version__}"
    assert _metadata(_build(source, tmp_path / "1", "wheel")) == released
    other = "https://elsewhere.example/fork"
    assert _metadata(_build(source, tmp_path / "2", "wheel", PROJECT_URL=other)) == released


def test_without_an_address_none_is_made_up(tmp_path: Path) -> None:
    """The package has no links then, and the README as it is."""
    head, text = _metadata(_build(ROOT, tmp_path, "wheel")).split("\n\n", 1)
    assert "URL" not in head
    assert text == (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](b.md)", f"[a]({FILES}/b.md)"),
        ("[`a`](b.md#c) `[d](e)`", f"[`a`]({FILES}/b.md#c) `[d](e)`"),
        ("[a](#b)", f"[a]({FILES}/README.md#b)"),
        ("![a](b.png)", f"![a]({URL}/raw/v{__version__}/b.png)"),
        ("[![a](b.svg)](c.md)", f"[![a]({URL}/raw/v{__version__}/b.svg)]({FILES}/c.md)"),
        ("[a](https://b.example/c) [d](mailto:e@f)", "[a](https://b.example/c) [d](mailto:e@f)"),
        ("```\n[a](b.md)\n```\n[c](d)", f"```\n[a](b.md)\n```\n[c]({FILES}/d)"),
    ],
)
def test_what_is_made_absolute(text: str, expected: str) -> None:
    """Links and pictures; neither code nor what is absolute already."""
    assert HOOK.absolute(text, FILES) == expected


@pytest.mark.parametrize(
    "given",
    [
        "code.example/acme",
        "http://code.example/acme",
        "https://",
        "git@code.example:acme/gateway.git",
        "https://user:secret@code.example/acme",
        "https://code.example/acme?tab=readme",
        "https://code.example/a b",
    ],
)
def test_an_address_that_is_none_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable's name and an example, and without a password that was in it."""
    monkeypatch.setenv("PROJECT_URL", given)
    with pytest.raises(ValueError, match="PROJECT_URL must be the https:// address") as caught:
        HOOK.ProjectAddresses(str(ROOT), {}).update({"version": "1"})
    assert "secret" not in str(caught.value)


def test_where_files_are_shown_can_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code hosts differ in that; an address may end as it is cloned."""
    monkeypatch.setenv("PROJECT_URL", f"{URL}.git")
    monkeypatch.setenv("PROJECT_FILES_URL", f"{URL}/src/tag/v1/")
    metadata: dict[str, Any] = {"version": "1"}
    HOOK.ProjectAddresses(str(ROOT), {}).update(metadata)
    assert metadata["urls"]["Homepage"] == URL
    assert metadata["urls"]["Changelog"] == f"{URL}/src/tag/v1/CHANGELOG.md"
    assert f"]({URL}/src/tag/v1/SECURITY.md)" in metadata["readme"]["text"]

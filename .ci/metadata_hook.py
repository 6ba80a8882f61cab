"""A metadata hook of hatchling: the project's addresses, and a README that reads well elsewhere.

`PROJECT_URL=https://… uv build` adds the project's links to the metadata and makes the README's
relative links absolute, to the files as they are at the version's tag. Without it the README stays
as it is and there are no links: nobody's address is assumed. A wheel that is built from the source
distribution has what that one has. hatch-fancy-pypi-readme could rewrite the links, but only to an
address that stands in pyproject.toml.
"""

import os
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from hatchling.metadata.plugin.interface import MetadataHookInterface

# Code is left alone. `picture` is there if the link is that of a picture.
_LINK: Final = re.compile(
    r"(?P<code>^```.*?^```|`[^`\n]+`)"
    r"|(?P<picture>!\[[^\]]*)?\]\((?![a-z][a-z0-9+.-]*:)(?P<target>[^)\s]+)",
    re.MULTILINE | re.DOTALL,
)


class ProjectAddresses(MetadataHookInterface):
    """Sets `readme` and `urls`, unless they come from a source distribution."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Raises `ValueError` if an address is not one of a repository on the web."""
        metadata.setdefault("urls", {})
        if "readme" in metadata:
            return
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        if project := _address("PROJECT_URL"):
            tag = f"{project}/blob/v{metadata['version']}"
            files = _address("PROJECT_FILES_URL") or tag
            text = absolute(text, files)
            metadata["urls"] = links(project, files)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def links(project: str, files: str) -> dict[str, str]:
    """The project's links by the labels that package indexes know."""
    return {
        "Homepage": project,
        "Documentation": f"{files}/README.md",
        "Changelog": f"{files}/CHANGELOG.md",
        "Issues": f"{project}/issues",
        "Security": f"{files}/SECURITY.md",
        "Source": project,
    }


def absolute(text: str, files: str) -> str:
    """Markdown whose relative links lead below `files`; those of pictures to the file itself."""
    raw = re.sub(r"/(blob|src)/", "/raw/", files, count=1)

    def whole(link: re.Match[str]) -> str:
        target = link["target"]
        if target is None:
            return link[0]
        target = f"README.md{target}" if target.startswith("#") else target
        return f"{link['picture'] or ''}]({raw if link['picture'] else files}/{target}"

    return _LINK.sub(whole, text)


def _address(variable: str) -> str:
    given = os.environ.get(variable, "").strip()
    parts = urlsplit(given)
    plain = parts.scheme == "https" and parts.hostname and "@" not in parts.netloc
    if given and (not plain or parts.query or parts.fragment or re.search(r"[\s()<>]", given)):
        raise ValueError(
            f"{variable} must be the https:// address of a repository, without a user name or a "
            "query, such as https://code.example/acme/invopop-gateway"
        )
    return given.rstrip("/").removesuffix(".git")

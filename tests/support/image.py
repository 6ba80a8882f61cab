"""The image without a container engine: the Dockerfile's own instructions, run in a directory.

Its `RUN`s are run as they stand, but for where they write and for who installs (uv, which asks for
the same hashes and keeps what it fetched). What a base image and a kernel's isolation would add is
not there. The gateway in it is not compiled, which would take minutes: `.ci/deployments` does that.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.support.prometheus import DEPLOY

ROOT: Final = DEPLOY.parent
DOCKERFILE: Final = (DEPLOY / "Dockerfile").read_text()
NOBODY: Final = 65532
_INSTRUCTION: Final = re.compile(r"(?m)^([A-Z]+) (.*)$")
_BUILD_ARGS: Final = {"COMPILED": "false"}
_PYTHON: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"


def instructions() -> Iterator[tuple[str, str]]:
    """The Dockerfile's instructions, each with its words on one line."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return ((name, words.strip()) for name, words in _INSTRUCTION.findall(joined))


class Image:
    """What the Dockerfile leaves, below `root`: owned by who runs this, writable by nobody."""

    def __init__(self, root: Path, uv: str, interpreter: str) -> None:
        self.root = root
        self._uv = uv
        self._interpreter = interpreter
        self._source = root / "src"
        self._source.mkdir()
        self._environ = dict(os.environ)
        for name, words in instructions():
            if name == "ARG":
                argument, _, default = words.partition("=")
                self._environ[argument] = _BUILD_ARGS.get(argument, default)
            elif name == "RUN":
                self._run(words)
            elif name == "COPY" and not words.startswith("--from"):
                self._copy(*words.split())
        programs = root / "opt" / "gateway" / "bin"
        self.python, self.command = str(programs / "python"), str(programs / "invopop-gateway")

    def _here(self, text: str) -> str:
        """The same with absolute paths below `root`, and this Python's version."""
        return re.sub(r"(?<![\w.])/(?=\w)", f"{self.root}/", text).replace("python3.12", _PYTHON)

    def _run(self, words: str) -> None:
        words = re.sub(r"\bpip --python (\S+) install\b", r"@uv pip install -q -p \1", words)
        words = self._here(words).replace("@uv", shlex.quote(self._uv))
        words = re.sub(r"^python\b", shlex.quote(self._interpreter), words)
        (self.root / "opt").mkdir(exist_ok=True)
        subprocess.run(
            words, shell=True, check=True, cwd=self._source, env=self._environ, timeout=300
        )

    def _copy(self, *words: str) -> None:
        *sources, target = words
        to = self._source / self._here(target)
        for source in (ROOT / name for name in sources):
            if source.is_dir():
                shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, to)

    def files(self) -> dict[Path, float]:
        """Everything in it, with the time of its last change."""
        return {path: path.lstat().st_mtime for path in self.root.rglob("*")}


def as_nobody() -> dict[str, Any]:
    """How `subprocess` becomes the image's user, where this process may say so."""
    return {} if os.getuid() else {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def public_interpreter() -> str:
    """A Python of this version that the image's user may run, or "": root's lies in its home."""
    candidates = (str(Path(sys.executable).resolve()), f"/usr/bin/{_PYTHON}")
    return next((path for path in candidates if _runs(path)), "")


def _runs(path: str) -> bool:
    try:
        done = subprocess.run([path, "-c", ""], check=False, timeout=30, **as_nobody())
    except OSError:
        return False
    return bool(done.returncode == 0)

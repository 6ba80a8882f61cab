"""A build hook of hatchling: compiles the modules on a request's way with mypyc, if enabled.

`HATCH_BUILD_HOOKS_ENABLE=true uv build --wheel`, or `uv pip install .` with it, makes a compiled
wheel, for the Python and the machine that it is built with; it takes a C compiler. Without it the
wheel is plain Python. The source stays in the wheel: tracebacks quote it. `COMPILE_OPT_LEVEL=0`
compiles in a third of the time, for tests.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from shutil import copytree
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# What setuptools runs. mypy judges types elsewhere; here it needs neither settings nor libraries.
_SETUP: Final = """
import sys
from mypyc.build import mypycify
from setuptools import setup

level, *modules = sys.argv[1:]
options = ["--follow-imports=silent", "--ignore-missing-imports", "--config-file="]
setup(
    name="gateway",
    ext_modules=mypycify(
        [*options, *modules], opt_level=level, debug_level="0", group_name="gateway"
    ),
    script_args=["-q", "build_ext", "--inplace"],
)
"""

# All modules are one library: calls within it need no detour by way of its table of symbols.
_WITHIN: Final = "-fvisibility=hidden -fno-semantic-interposition"

# Where a Python outside of the system's folders looks for libraries: no other machine has those.
_FOLDERS: Final = ("-L", "-Wl,-rpath", "-Wl,-R")


class CompiledModules(BuildHookInterface[Any]):
    """Adds extension modules to a wheel, which Python prefers to the sources of the same names."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles in a directory of its own, which lives as long as the build does."""
        if version == "editable":  # a clone runs as plain Python
            return
        self._folder = tempfile.TemporaryDirectory(prefix="compiled-")
        folder = Path(self._folder.name)
        copytree(Path(self.root, "gateway"), folder / "gateway")
        modules: list[str] = self.config["modules"]
        level = os.environ.get("COMPILE_OPT_LEVEL", "2")
        command = (sys.executable, "-c", _SETUP, level, *modules)
        subprocess.run(command, cwd=folder, check=True, env=_environment(folder))  # noqa: S603 - all is ours
        for built in folder.rglob("*.so"):
            place = built.relative_to(folder)
            if place.parts[0] != "build":
                build_data["force_include"][str(built)] = str(place)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, *_: object) -> None:
        """Removes what the wheel has taken in."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()


def _environment(folder: Path) -> dict[str, str]:
    """The same sources and tools make the same bytes: neither a path nor chance gets in."""
    folders = (folder, sys.prefix, sys.base_prefix)
    mapped = " ".join(f"-ffile-prefix-map={path}=." for path in folders)
    flags = f"{os.environ.get('CFLAGS', '')} {_WITHIN} {mapped}"
    link = str(sysconfig.get_config_var("LDSHARED") or "cc -shared").split()
    environ = {"LDSHARED": " ".join(word for word in link if not word.startswith(_FOLDERS))}
    return environ | os.environ | {"CFLAGS": flags.strip(), "PYTHONHASHSEED": "0"}

"""The hook that compiles: what it gives to the compiler. `.ci/compiled` runs it for real."""

import sys
import sysconfig
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from tests.support.guarantees import ROOT

FOLDER = Path("/somewhere/compiled-x")


@pytest.fixture
def hook() -> Any:
    """The module, which no package contains."""
    spec = spec_from_file_location("compile_hook", ROOT / ".ci" / "compile_hook.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_folder_of_the_machine_gets_into_a_wheel(
    hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Python in a folder of its own links with that folder as a place to search; and sources and
    headers are named from the folders that they are in. Otherwise no two builds were equal, and
    others would load libraries from a path that only the builder's machine has.
    """
    own = "gcc -pthread -shared -L/a/lib -Wl,-rpath,/a/lib -Wl,-rpath=/a/lib -Wl,-z,relro"
    monkeypatch.delenv("LDSHARED", raising=False)
    monkeypatch.setenv("CFLAGS", "-march=x86-64-v2")
    monkeypatch.setattr(sysconfig, "get_config_var", {"LDSHARED": own}.get)
    environ = hook._environment(FOLDER)
    assert environ["LDSHARED"] == "gcc -pthread -shared -Wl,-z,relro"
    assert environ["CFLAGS"].split()[0] == "-march=x86-64-v2"
    for folder in (FOLDER, sys.prefix, sys.base_prefix):
        assert f"-ffile-prefix-map={folder}=." in environ["CFLAGS"].split()
    assert environ["PYTHONHASHSEED"] == "0"


def test_who_builds_can_name_the_linker(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for any extension module, by the variable that setuptools reads."""
    monkeypatch.setenv("LDSHARED", "clang -shared")
    assert hook._environment(FOLDER)["LDSHARED"] == "clang -shared"

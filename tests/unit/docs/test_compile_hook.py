"""The hook that compiles: what it gives to the compiler. `.ci/compiled` runs it for real."""

import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.ci_hooks import hook

FOLDER = Path("/somewhere/compiled-x")


HOOK = hook("compile_hook")


def test_no_folder_of_the_machine_gets_into_a_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python in a folder of its own links with that folder as a place to search; and sources and
    headers are named from the folders that they are in. Otherwise no two builds were equal, and
    others would load libraries from a path that only the builder's machine has.
    """
    own = "gcc -pthread -shared -L/a/lib -Wl,-rpath,/a/lib -Wl,-rpath=/a/lib -Wl,-z,relro"
    monkeypatch.delenv("LDSHARED", raising=False)
    monkeypatch.setenv("CFLAGS", "-march=x86-64-v2")
    monkeypatch.setattr(sysconfig, "get_config_var", {"LDSHARED": own}.get)
    environ = HOOK._environment(FOLDER)
    assert environ["LDSHARED"] == "gcc -pthread -shared -Wl,-z,relro"
    assert environ["CFLAGS"].split()[0] == "-march=x86-64-v2"
    for folder in (FOLDER, sys.prefix, sys.base_prefix):
        assert f"-ffile-prefix-map={folder}=." in environ["CFLAGS"].split()
    assert environ["PYTHONHASHSEED"] == "0"


def test_who_builds_can_name_the_linker(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for any extension module, by the variable that setuptools reads."""
    monkeypatch.setenv("LDSHARED", "clang -shared")
    assert HOOK._environment(FOLDER)["LDSHARED"] == "clang -shared"

"""The build hooks in `.ci`, which no package contains."""

from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

from tests.support.guarantees import ROOT


def hook(name: str) -> Any:
    """The module of that name."""
    spec = spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

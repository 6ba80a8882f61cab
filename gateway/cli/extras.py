"""Which extras a configuration needs and this installation lacks: named all at once.

Rule: looks for modules, imports none of them.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final

from gateway.errors import Problem
from gateway.settings.key_sources import KeySource
from gateway.settings.load import Loaded
from gateway.settings.sealed import SUFFIX

_MODULES: Final = {
    "age": ("pyrage",),
    "aws": ("botocore",),
    "azure": ("azure.identity", "azure.keyvault.secrets"),
    "gcp": ("google.auth", "requests"),
    "otel": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
    "redis": ("limits", "redis"),
}


def extras_problem(loaded: Loaded) -> list[Problem]:
    """One problem if several are missing: each by itself is reported where it is needed."""
    needed = set(_needed(loaded))
    names = [n for n in _MODULES if n in needed and not all(map(_is_there, _MODULES[n]))]
    if len(names) < 2:
        return []
    found = f"extras that are not installed: {', '.join(names)}"
    expected = f"all of them: pip install 'invopop-gateway[{','.join(names)}]'"
    return [Problem(str(loaded.file), "", found, expected)]


def _needed(loaded: Loaded) -> Iterator[str]:
    settings = loaded.settings
    if settings.vault.file.suffix == SUFFIX:
        yield "age"
    if (settings.limits.storage or "").startswith("redis"):
        yield "redis"
    if settings.tracing.endpoint is not None:
        yield "otel"
    yield from (name for name in ("aws", "gcp", "azure") if getattr(settings.vault, name))
    yield from (source.kind for source in _sources(loaded))


def _sources(loaded: Loaded) -> Iterator[KeySource]:
    for entry in loaded.vault.tenants.values():
        yield from (source for source in (entry.key, entry.previous) if source is not None)
    if loaded.vault.discover is not None:
        yield loaded.vault.discover.key


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # of a package that is not there, or hidden
        return False

"""The kinds of key source: adding one is its file and one line here."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from gateway.vault.sources.aws import AwsSource
from gateway.vault.sources.azure import AzureSource
from gateway.vault.sources.gcp import GcpSource
from gateway.vault.sources.local import EnvSource, FileSource, ValueSource
from gateway.vault.sources.openbao import OpenBaoSource
from gateway.vault.sources.source import Connections, Source, SourceError

SOURCES: Final[Mapping[str, Callable[[Connections], Source]]] = {
    "env": EnvSource,
    "file": FileSource,
    "value": ValueSource,
    "openbao": OpenBaoSource,
    "aws": AwsSource,
    "gcp": GcpSource,
    "azure": AzureSource,
}


def open_sources(
    kinds: Iterable[str], connections: Connections, kept: Mapping[str, Source]
) -> tuple[dict[str, Source], dict[str, SourceError]]:
    """The sources of these kinds, the kept ones as they are; and why others cannot be opened."""
    opened: dict[str, Source] = {}
    errors: dict[str, SourceError] = {}
    for kind in kinds:
        try:
            opened[kind] = kept.get(kind) or SOURCES[kind](connections)
        except SourceError as error:
            errors[kind] = error
    return opened, errors

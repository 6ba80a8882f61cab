"""Opens key sources by their rows in `SOURCE_KINDS`."""

from collections.abc import Callable, Iterable, Mapping
from pkgutil import resolve_name

from gateway.settings.key_sources import SOURCE_KINDS
from gateway.vault.sources.source import Connections, Source, SourceError


def open_source(kind: str, connections: Connections) -> Source:
    """A source of this kind; raises `SourceError` if it cannot be opened."""
    opener: Callable[[Connections], Source] = resolve_name(SOURCE_KINDS[kind].opener)
    return opener(connections)


def open_sources(
    kinds: Iterable[str], connections: Connections, kept: Mapping[str, Source]
) -> tuple[dict[str, Source], dict[str, SourceError]]:
    """The sources of these kinds, the kept ones as they are; and why others cannot be opened."""
    opened: dict[str, Source] = {}
    errors: dict[str, SourceError] = {}
    for kind in kinds:
        try:
            opened[kind] = kept.get(kind) or open_source(kind, connections)
        except SourceError as error:
            errors[kind] = error
    return opened, errors

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
    """The sources of these kinds, the kept ones as they are; and why others cannot be opened.

    Kinds with one opener are one source.
    """
    opened: dict[str, Source] = {}
    errors: dict[str, SourceError] = {}
    alike = {SOURCE_KINDS[kind].opener: source for kind, source in kept.items()}
    for kind in kinds:
        opener = SOURCE_KINDS[kind].opener
        try:
            opened[kind] = alike[opener] = alike.get(opener) or open_source(kind, connections)
        except SourceError as error:
            errors[kind] = error
    return opened, errors

"""Keys that stand in the vault file itself: encrypted vaults, the sandbox, tests."""

from collections.abc import Hashable

from gateway.secret import Secret
from gateway.settings.vault_file import KeySource
from gateway.vault.sources.source import NOT_FOUND, Connections, SourceError


class ValueSource:
    """`{ value = "…" }`"""

    def __init__(self, connections: Connections) -> None:
        del connections

    async def read(self, source: KeySource) -> Secret:
        """The value as it stands in the file."""
        if source.value is None:
            raise SourceError(NOT_FOUND, "no value is given")
        return source.value

    def mark(self, source: KeySource) -> Hashable:
        """It cannot change while it is configured."""
        return source.kind

    async def aclose(self) -> None:
        """Holds nothing."""

"""Keys in the process's environment. They cannot change while it runs."""

from collections.abc import Hashable

from gateway.secret import Secret
from gateway.settings.vault_file import KeySource
from gateway.vault.sources.source import NOT_FOUND, Connections, SourceError


class EnvSource:
    """`{ env = "NAME" }`"""

    def __init__(self, connections: Connections) -> None:
        self._environ = connections.environ

    async def read(self, source: KeySource) -> Secret:
        """The variable's value; raises `SourceError` if it is not set."""
        value = self._environ.get(source.reference)
        if value is None:
            raise SourceError(
                NOT_FOUND,
                f"environment variable {source.describe().removeprefix('env ')} is not set",
            )
        return Secret(value)

    def mark(self, source: KeySource) -> Hashable:
        """It cannot change while it is configured."""
        return source.kind

    async def aclose(self) -> None:
        """Holds nothing."""

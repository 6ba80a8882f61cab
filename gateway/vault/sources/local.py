"""What a store needs to log in: secrets of this machine, never of another store."""

from gateway.secret import Secret
from gateway.settings.vault_file import KeySource
from gateway.vault.sources.env import EnvSource
from gateway.vault.sources.file import FileSource
from gateway.vault.sources.source import Connections, Source
from gateway.vault.sources.value import ValueSource


class LocalSecrets:
    """Reads `env`, `file` and `value` sources."""

    def __init__(self, connections: Connections) -> None:
        self._sources: dict[str, Source] = {
            "env": EnvSource(connections),
            "file": FileSource(connections),
            "value": ValueSource(connections),
        }

    async def read(self, source: KeySource) -> Secret:
        """The secret now at `source`; raises `SourceError`."""
        return await self._sources[source.kind].read(source)

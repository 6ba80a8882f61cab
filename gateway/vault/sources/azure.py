"""Keys in Azure Key Vault, through Microsoft's libraries; credentials are their default ones."""

from collections.abc import Mapping
from typing import Final

from gateway.secret import Secret
from gateway.settings.key_sources import KeySource
from gateway.vault.sources.extra import Threads, extra
from gateway.vault.sources.source import (
    DENIED,
    NOT_FOUND,
    UNAVAILABLE,
    Connections,
    ReadFailure,
    Source,
    SourceError,
)

TIMEOUT: Final = 5
OUTCOMES: Final[Mapping[int, ReadFailure]] = {404: NOT_FOUND, 401: DENIED, 403: DENIED}


class AzureSource(Source):
    """`{ azure = "NAME" }`, or `NAME/VERSION`; with `field`, a member of a JSON secret."""

    def __init__(self, connections: Connections) -> None:
        settings = connections.settings.azure
        if settings is None:
            raise SourceError(UNAVAILABLE, "azure: add a [vault.azure] table that names the vault")
        self._errors = extra("azure.core.exceptions", "azure")
        secrets = extra("azure.keyvault.secrets", "azure")
        identity = extra("azure.identity", "azure")
        self._credential = identity.DefaultAzureCredential()
        self._client = secrets.SecretClient(
            settings.vault_url,
            self._credential,
            connection_timeout=TIMEOUT,
            read_timeout=TIMEOUT,
            retry_total=0,  # the vault has its own schedule
        )
        self._threads = Threads("azure")

    async def read(self, source: KeySource) -> Secret:
        """The secret's newest version, or the one named."""
        return await self._threads.read(self._get, source)

    async def aclose(self) -> None:
        """Closes the connections."""
        self._threads.close()
        self._client.close()
        self._credential.close()

    def _get(self, reference: str, place: str) -> object:
        name, _, version = reference.partition("/")
        try:
            return self._client.get_secret(name, version or None).value
        except self._errors.ClientAuthenticationError:
            raise SourceError(DENIED, f"{place}: the credentials were refused") from None
        except self._errors.HttpResponseError as error:
            outcome = OUTCOMES.get(error.status_code, UNAVAILABLE)
            raise SourceError(outcome, f"{place}: {error.status_code}") from None
        except self._errors.AzureError as error:
            raise SourceError(UNAVAILABLE, f"{place}: {type(error).__name__}") from None

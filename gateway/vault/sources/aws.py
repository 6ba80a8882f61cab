"""Keys in AWS Secrets Manager, through botocore. Credentials are found as the AWS tools do."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.secret import Secret
from gateway.settings.key_sources import KeySource
from gateway.settings.stores import Aws
from gateway.vault.sources.extra import THREADS, Threads, extra
from gateway.vault.sources.source import (
    DENIED,
    NOT_FOUND,
    UNAVAILABLE,
    Connections,
    ReadFailure,
    Source,
    SourceError,
)

TIMEOUT: Final = 4.0  # seconds to connect, and to read; with one retry that is under 10
OUTCOMES: Final[Mapping[str, ReadFailure]] = {
    "ResourceNotFoundException": NOT_FOUND,
    "InvalidRequestException": NOT_FOUND,  # marked for deletion
    "AccessDeniedException": DENIED,
    "DecryptionFailure": DENIED,
    "ExpiredTokenException": DENIED,
    "InvalidSignatureException": DENIED,
    "UnrecognizedClientException": DENIED,
}


class AwsSource(Source):
    """`{ aws = "NAME or ARN" }`; with `field`, a member of a JSON secret."""

    def __init__(self, connections: Connections) -> None:
        settings = connections.settings.aws or Aws()
        self._errors = extra("botocore.exceptions", "aws")
        options = extra("botocore.config", "aws").Config(
            connect_timeout=TIMEOUT,
            read_timeout=TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=THREADS,
        )
        session = extra("botocore.session", "aws").get_session()
        try:
            self._client = session.create_client(
                "secretsmanager",
                region_name=settings.region,
                endpoint_url=settings.endpoint_url,
                config=options,
            )
        except self._errors.NoRegionError:
            reason = (
                "aws: no region: [vault.aws] region, AWS_DEFAULT_REGION or the profile names it"
            )
            raise SourceError(UNAVAILABLE, reason) from None
        except (self._errors.BotoCoreError, ValueError) as error:
            raise SourceError(UNAVAILABLE, f"aws: {type(error).__name__}") from None
        self._threads = Threads("aws")

    async def read(self, source: KeySource) -> Secret:
        """The secret's current version."""
        return await self._threads.read(self._get, source)

    async def aclose(self) -> None:
        """Closes the connections."""
        self._threads.close()
        self._client.close()

    def _get(self, name: str, place: str) -> object:
        try:
            reply: dict[str, Any] = self._client.get_secret_value(SecretId=name)
        except self._errors.ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            raise SourceError(OUTCOMES.get(code, UNAVAILABLE), f"{place}: {code}") from None
        except self._errors.NoCredentialsError:
            raise SourceError(DENIED, f"{place}: no AWS credentials were found") from None
        except self._errors.BotoCoreError as error:
            raise SourceError(UNAVAILABLE, f"{place}: {type(error).__name__}") from None
        return reply.get("SecretString")

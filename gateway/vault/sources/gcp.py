"""Keys in Google Secret Manager, over its REST API; google-auth finds and renews credentials.

Rule: the bearer goes to the configured endpoint only; no reply is ever quoted.
"""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from gateway.network.http_client import HttpTransport, failure_of
from gateway.network.resolver import Resolver
from gateway.network.tls import client_context
from gateway.secret import Secret
from gateway.settings.key_sources import KeySource
from gateway.vault.sources.extra import THREADS, Threads, extra
from gateway.vault.sources.source import (
    DENIED,
    MALFORMED,
    NOT_FOUND,
    UNAVAILABLE,
    Connections,
    ReadFailure,
    Source,
    SourceError,
    member,
)

ENDPOINT: Final = "https://secretmanager.googleapis.com"
SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
TIMEOUT: Final = 5.0
# 400 is FAILED_PRECONDITION: the version is disabled or destroyed.
OUTCOMES: Final[Mapping[int, ReadFailure]] = {404: NOT_FOUND, 400: DENIED, 401: DENIED, 403: DENIED}


class GcpSource(Source):
    """`{ gcp = "NAME" }`, or `projects/PROJECT/secrets/NAME`; either may end in `/versions/N`.

    With `field`, a member of a JSON secret.
    """

    def __init__(self, connections: Connections) -> None:
        settings = connections.settings.gcp
        self._project = settings.project if settings is not None else None
        self._auth = extra("google.auth", "gcp")
        self._requests = extra("google.auth.transport.requests", "gcp")
        self._errors = extra("google.auth.exceptions", "gcp")
        self._threads = Threads("gcp")
        self._lock = asyncio.Lock()
        self._credentials: Any = None
        self._http = httpx.AsyncClient(
            base_url=(settings.endpoint_url if settings is not None else None) or ENDPOINT,
            timeout=TIMEOUT,
            trust_env=False,
            transport=HttpTransport(
                client_context(), connections.resolver or Resolver(), connections=THREADS
            ),
        )

    async def read(self, source: KeySource) -> Secret:
        """The secret's newest enabled version, or the one named."""
        place = source.describe()
        url = self._url(source.reference, place)
        bearer = await self._bearer(place)
        try:
            reply = await self._http.get(url, headers={"Authorization": f"Bearer {bearer}"})
        except httpx.HTTPError as error:
            raise SourceError(UNAVAILABLE, f"{place}: {failure_of(error)}") from None
        if reply.status_code != 200:
            outcome = OUTCOMES.get(reply.status_code, UNAVAILABLE)
            raise SourceError(outcome, f"{place}: {reply.status_code}")
        return Secret(member(_payload(reply, place), source.field, place))

    async def aclose(self) -> None:
        """Closes the connections."""
        self._threads.close()
        await self._http.aclose()

    def _url(self, reference: str, place: str) -> str:
        name, _, version = reference.partition("/versions/")
        if not name.startswith("projects/"):
            if self._project is None:
                raise SourceError(
                    UNAVAILABLE, f"{place}: add a [vault.gcp] table that names the project"
                )
            name = f"projects/{self._project}/secrets/{name}"
        return f"v1/{quote(name)}/versions/{quote(version or 'latest')}:access"

    async def _bearer(self, place: str) -> str:
        # The one lock held over the network: whoever waits for it wants just this token.
        async with self._lock:
            if self._credentials is None or not self._credentials.valid:
                self._credentials = await self._threads.run(self._renewed, place)
            return str(self._credentials.token)

    def _renewed(self, place: str) -> Any:
        credentials = self._credentials
        try:
            if credentials is None:
                credentials, _ = self._auth.default(scopes=SCOPES)
            credentials.refresh(self._requests.Request())
        except self._errors.TransportError:
            raise SourceError(
                UNAVAILABLE, f"{place}: Google's token service is unreachable"
            ) from None
        except self._errors.GoogleAuthError as error:
            raise SourceError(DENIED, f"{place}: {type(error).__name__}") from None
        return credentials


def _payload(reply: httpx.Response, place: str) -> str:
    try:
        return base64.b64decode(reply.json()["payload"]["data"], validate=True).decode()
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise SourceError(MALFORMED, f"{place}: the secret is not text") from None

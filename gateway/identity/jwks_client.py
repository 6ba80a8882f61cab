"""Fetches an issuer's key set document, from its URL or by OpenID discovery.

Rule: verified HTTPS only, no redirects, no settings from the environment, bounded time and size.
"""

import asyncio
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from gateway.identity.jwt import read_document
from gateway.identity.keys import Document, KeySetError
from gateway.network.http_client import HttpTransport
from gateway.network.resolver import Resolver

DEADLINE: Final = 5.0  # seconds for everything, discovery too
MOST_BYTES: Final = 1024 * 1024
_DISCOVERY: Final = "/.well-known/openid-configuration"  # OpenID Connect Discovery 1.0, 4
_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=([0-9]{1,9})(?:$|[\s,])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class JwksClient:
    """Fetches one issuer's key set. Without `url` the issuer's discovery document names it.

    `bearer_file` holds the token that Kubernetes' API server asks for. It is read at each fetch,
    because Kubernetes renews it, and is sent to the origin of `url`, or else of `issuer`, alone: a
    discovery document could point anywhere.
    """

    issuer: str
    url: str | None
    tls: ssl.SSLContext = field(repr=False)
    bearer_file: Path | None = None
    resolver: Resolver = field(default_factory=Resolver, repr=False)

    async def fetch(self) -> Document:
        """The document. Raises `KeySetError` for any failure."""
        authorization = self.authorization()
        try:
            async with (
                asyncio.timeout(DEADLINE),
                httpx.AsyncClient(
                    transport=HttpTransport(self.tls, self.resolver),
                    trust_env=False,
                    timeout=None,  # noqa: S113 - the deadline above is for everything
                    headers={"accept-encoding": "identity"},
                ) as client,
            ):
                if self.url is not None:
                    return await _get(client, self.url, authorization)
                url = await self._discover(client, authorization)
                own = _origin(url) == _origin(self.issuer)
                return await _get(client, url, authorization if own else {})
        except TimeoutError:
            raise KeySetError("timeout") from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise KeySetError(f"unreachable ({error})") from None  # our transport's own words
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            raise KeySetError("unreachable") from None

    async def _discover(self, client: httpx.AsyncClient, authorization: dict[str, str]) -> str:
        text = (await _get(client, self.issuer.rstrip("/") + _DISCOVERY, authorization)).text
        try:
            document = read_document(text)
        except ValueError:
            raise KeySetError("discovery_garbage") from None
        url = document.get("jwks_uri")
        if document.get("issuer") != self.issuer or not isinstance(url, str):
            raise KeySetError("discovery_mismatch")
        return url

    def authorization(self) -> dict[str, str]:
        """The header with `bearer_file`'s token, if there is one. Raises `KeySetError`."""
        if self.bearer_file is None:
            return {}
        try:
            token = self.bearer_file.read_text("ascii").strip()
        except (OSError, UnicodeError):
            raise KeySetError("bearer_file") from None
        if not token.isprintable() or not token:
            raise KeySetError("bearer_file")
        return {"authorization": f"Bearer {token}"}


def _origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host in lower case, and port if it is not the scheme's own."""
    parsed = httpx.URL(url)
    return parsed.scheme, parsed.host.removesuffix("."), parsed.port


async def _get(client: httpx.AsyncClient, url: str, headers: dict[str, str]) -> Document:
    if not url.startswith("https://"):
        raise KeySetError("insecure_url")
    document = bytearray()
    async with client.stream("GET", url, headers=headers) as response:
        if response.status_code != httpx.codes.OK:
            raise KeySetError("redirect" if response.is_redirect else "status")
        async for chunk in response.aiter_raw():
            document += chunk
            if len(document) > MOST_BYTES:
                raise KeySetError("too_large")
    age = _MAX_AGE.search(response.headers.get("cache-control", ""))
    return Document(bytes(document), float(age[1]) if age else None)

"""Keys in OpenBao or HashiCorp Vault: key-value engines, version 2 and 1, over their HTTP API.

Rule: a token goes to the configured server only; no reply is ever quoted.
"""

from typing import Any, Final
from urllib.parse import quote

import httpx

from gateway.network.http_client import HttpTransport, failure_of
from gateway.network.resolver import Resolver
from gateway.network.tls import client_context
from gateway.secret import Secret
from gateway.settings.key_sources import KeySource
from gateway.settings.stores import OpenBao
from gateway.vault.sources.openbao_token import Token, body_of
from gateway.vault.sources.source import (
    DENIED,
    MALFORMED,
    NOT_FOUND,
    UNAVAILABLE,
    Connections,
    ReadFailure,
    Source,
    SourceError,
    member_of,
)

CONNECTIONS: Final = 32


class OpenBaoSource(Source):
    """`{ openbao = "MOUNT/PATH", field = "…" }`"""

    def __init__(self, connections: Connections) -> None:
        settings = connections.settings.openbao
        if settings is None:
            raise SourceError(
                UNAVAILABLE, "openbao: add a [vault.openbao] table that names the server"
            )
        self._settings = settings
        self._http = _client(settings, connections.resolver or Resolver())
        self._token = Token(self._http, settings, connections)

    async def read(self, source: KeySource) -> Secret:
        """The secret's member; a token that was refused is renewed once."""
        place = source.describe()
        token = await self._token.current()
        reply = await self._get(source.reference, token, place)
        if reply.status_code == 403 and (fresh := await self._token.after(token)) is not None:
            reply = await self._get(source.reference, fresh, place)
        return Secret(member_of(self._document(reply, place), source.field, place))

    async def aclose(self) -> None:
        """Ends the token's renewal and closes the connections."""
        await self._token.aclose()
        await self._http.aclose()

    async def _get(self, reference: str, token: Secret, place: str) -> httpx.Response:
        mount, _, path = reference.partition("/")
        engine = f"{mount}/data" if self._settings.kv_version == 2 else mount
        try:
            return await self._http.get(
                f"v1/{quote(engine)}/{quote(path)}", headers={"X-Vault-Token": token.reveal()}
            )
        except httpx.HTTPError as error:
            raise SourceError(UNAVAILABLE, f"{place}: {failure_of(error)}") from None

    def _document(self, reply: httpx.Response, place: str) -> Any:
        body = body_of(reply)
        if reply.status_code != 200:
            raise SourceError(_outcome(reply.status_code, body), f"{place}: {reply.status_code}")
        data = body.get("data")
        if self._settings.kv_version == 2 and isinstance(data, dict):
            data = data.get("data")
        if data is None:
            raise SourceError(MALFORMED, f"{place}: the reply holds no data")
        return data


def _outcome(status: int, body: dict[str, Any]) -> ReadFailure:
    # The reply for a missing secret has no message; "no handler for route" is a missing mount.
    if status == 404 and not body.get("errors") and ("errors" in body or "data" in body):
        return NOT_FOUND
    return DENIED if status in {401, 403} else UNAVAILABLE


def _client(settings: OpenBao, resolver: Resolver) -> httpx.AsyncClient:
    headers = {"X-Vault-Request": "true"}
    if settings.namespace is not None:
        headers["X-Vault-Namespace"] = settings.namespace
    try:
        trust = client_context(settings.ca_file, ca_only=settings.ca_file is not None)
    except OSError:
        raise SourceError(
            UNAVAILABLE, f"{settings.ca_file} is not a PEM file of CA certificates"
        ) from None
    return httpx.AsyncClient(
        base_url=settings.url,
        headers=headers,
        timeout=settings.timeout,
        transport=HttpTransport(trust, resolver, connections=CONNECTIONS),
        trust_env=False,  # a proxy from the environment must not see the token
    )

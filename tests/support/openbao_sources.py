"""Keys in an OpenBao server of the tests, and sources that read them."""

from typing import Any

import pytest

from gateway.settings.schema import Settings
from gateway.vault.sources.openbao import OpenBaoSource
from gateway.vault.sources.source import Connections, SourceError
from tests.support.openbao import ROOT, OpenBaoServer
from tests.support.vaults import key_source, vault_settings


def fill(server: OpenBaoServer) -> None:
    """What the tests expect to find."""
    server.policy("invopop", "secret/data/invopop/*", "old/invopop/*")
    server.write("invopop/acme", api_key="key-acme")
    server.write("elsewhere/acme", api_key="key-elsewhere")


def settings(server: OpenBaoServer, **openbao: Any) -> Settings:
    """A `[vault]` table for that server; with the root token unless said otherwise."""
    login = {} if openbao.keys() & {"token", "approle", "kubernetes"} else {"token": {"env": "T"}}
    refresh = openbao.pop("refresh", 300.0)
    stale_grace = openbao.pop("stale_grace", 1800.0)
    table = {"url": server.url, "timeout": 1.0, **login, **openbao}
    return vault_settings(
        openbao=table, refresh=refresh, stale_grace=stale_grace, negative_ttl=0.05
    )


def source_for(opened: list[OpenBaoSource], table: Settings, token: str = ROOT) -> OpenBaoSource:
    """A source as the vault would open it."""
    opened.append(OpenBaoSource(Connections(table.vault, {"T": token})))
    return opened[-1]


def at(reference: str, field: str = "api_key") -> Any:
    """One key in the server."""
    return key_source(openbao=reference, field=field)


async def outcome(source: OpenBaoSource, reference: str, field: str = "api_key") -> str:
    """The word for a read that fails."""
    with pytest.raises(SourceError) as caught:
        await source.read(at(reference, field))
    assert "key-" not in str(caught.value)
    return caught.value.outcome

"""A store in memory, and a vault asked as requests ask it."""

import pytest

from gateway.errors import CallerError, GatewayFault
from gateway.vault.key_ring import KeyNeeded
from gateway.vault.vault import Vault
from tests.support.vaults import FakeStore, opened_by, vault_file

ENV = {"A": "key-a", "A_OLD": "old-a", "B": "key-b"}
LISTED = vault_file({"a": {"key": {"env": "A"}}, "b": {"key": {"env": "B"}}})


@pytest.fixture
async def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    """A store in memory, where `openbao` sources are read."""
    fake = FakeStore()
    opened_by(monkeypatch, "openbao", lambda _: fake)
    return fake


def bao(reference: str) -> dict[str, str]:
    """A source in the store."""
    return {"openbao": reference, "field": "f"}


async def sent(vault: Vault, tenant: str, caller: str = "billing") -> str:
    """What a request of that tenant would be sent with."""
    try:
        return vault.key(tenant).secret.reveal()
    except KeyNeeded:
        return (await vault.read(tenant, caller)).secret.reveal()


async def refusal(vault: Vault, tenant: str, caller: str = "billing") -> str:
    """The error key with which a request of that tenant is answered."""
    with pytest.raises((CallerError, GatewayFault)) as caught:
        await sent(vault, tenant, caller)
    assert isinstance(caught.value, CallerError | GatewayFault)
    if caught.value.key == "key_unavailable":
        assert dict(caught.value.headers)[b"retry-after"].isdigit()
    return caught.value.key

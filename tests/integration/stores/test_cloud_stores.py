"""Keys at Google and Microsoft: their own client code against protocol fakes on loopback."""

import json
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.vault.sources.azure import AzureSource
from gateway.vault.sources.gcp import GcpSource
from gateway.vault.sources.source import Connections, SourceError
from tests.support.cloud_stores import CloudStore, KeyVault, SecretManager
from tests.support.vaults import key_source, vault_settings

Store = tuple[CloudStore, str, GcpSource | AzureSource]


def private_key() -> str:
    """A service account's private key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretManager]:
    """Secret Manager with application default credentials that lead to it."""
    with SecretManager() as store:
        account = tmp_path / "account.json"
        account.write_text(json.dumps(store.service_account(private_key())))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
        yield store


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyVault]:
    """Key Vault over TLS as `kv.vault.test`, and a managed identity."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("kv.vault.test").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with KeyVault(tls) as store, SecretIdentity() as identity:
        for name in [name for name in os.environ if name.startswith("AZURE_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{identity.port}/identity")
        monkeypatch.setenv("IDENTITY_HEADER", "header")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        resolve = socket.getaddrinfo

        def loopback(host: Any, *rest: Any, **more: Any) -> Any:
            return resolve("127.0.0.1" if host == "kv.vault.test" else host, *rest, **more)

        monkeypatch.setattr(socket, "getaddrinfo", loopback)
        yield store


class SecretIdentity(KeyVault):
    """The identity endpoint alone, which is plain HTTP."""


@pytest.fixture(params=["gcp", "azure"])
def store(request: pytest.FixtureRequest) -> Store:
    """Either store, the name of its kind, and a source for it."""
    if request.param == "gcp":
        fake: CloudStore = request.getfixturevalue("google")
        table = {"project": "billing", "endpoint_url": f"http://127.0.0.1:{fake.port}"}
        settings = vault_settings(gcp=table).vault
        return fake, "gcp", GcpSource(Connections(settings, {}))
    fake = request.getfixturevalue("azure")
    settings = vault_settings(azure={"vault_url": f"https://kv.vault.test:{fake.port}"}).vault
    return fake, "azure", AzureSource(Connections(settings, {}))


async def read(store: Store, reference: str, field: str | None = None) -> str:
    """The key at that place, or the word for why there is none."""
    _, kind, source = store
    named: dict[str, Any] = {kind: reference, "field": field}
    try:
        return (await source.read(key_source(**named))).reveal()
    except SourceError as error:
        assert "sk_" not in str(error)  # noqa: PT017 - only some reads fail
        return error.outcome
    finally:
        await source.aclose()


async def test_a_secret(store: Store) -> None:
    """A secret's text is the key."""
    store[0].secrets["acme"] = "sk_acme"
    assert await read(store, "acme") == "sk_acme"


async def test_a_member_of_a_json_secret(store: Store) -> None:
    """With `field` the secret is a JSON object."""
    store[0].secrets["acme"] = '{"api_key": "sk_acme"}'
    assert await read(store, "acme", "api_key") == "sk_acme"


async def test_a_full_google_name_holds_its_project(google: SecretManager) -> None:
    """It is read there, whatever project the table names; with a version, that one."""
    google.secrets["acme"] = "sk_acme"
    google.secrets["acme/versions/3"] = "sk_third"
    table = {"project": "elsewhere", "endpoint_url": f"http://127.0.0.1:{google.port}"}
    for name, key in (("acme", "sk_acme"), ("acme/versions/3", "sk_third")):
        source = GcpSource(Connections(vault_settings(gcp=table).vault, {}))
        full = f"projects/billing/secrets/{name}"
        assert await read((google, "gcp", source), full) == key


async def test_what_is_not_there(store: Store) -> None:
    """The store's 404 is not found."""
    assert await read(store, "none") == "not_found"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(403, "denied"), (429, "unavailable"), (500, "unavailable"), (503, "unavailable")],
)
async def test_a_store_that_refuses(store: Store, status: int, outcome: str) -> None:
    """Refusals are denied, trouble is unavailable."""
    store[0].fail = status
    assert await read(store, "acme") == outcome


async def test_a_store_that_answers_garbage(store: Store) -> None:
    """What is no reply of that store is never a key."""
    store[0].garbage = True
    assert await read(store, "acme") in {"malformed", "unavailable"}


async def test_a_store_that_is_away(store: Store) -> None:
    """A store that takes no connection is unavailable."""
    store[0]._server.server_close()
    assert await read(store, "acme") == "unavailable"

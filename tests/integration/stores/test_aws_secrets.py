"""Keys in AWS Secrets Manager, as moto's server plays it."""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import botocore.session  # type: ignore[import-untyped]
import pytest
from moto.server import ThreadedMotoServer

from gateway.vault.sources.aws import AwsSource
from gateway.vault.sources.source import Connections, SourceError
from tests.support.vaults import key_source, loaded, running, vault_file, vault_of, vault_settings

REGION = "eu-west-1"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The server's address."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.fixture
def admin(url: str) -> Any:
    """A client that fills the store."""
    session = botocore.session.get_session()
    return session.create_client("secretsmanager", region_name=REGION, endpoint_url=url)


@pytest.fixture
async def source(url: str) -> AsyncIterator[AwsSource]:
    """A source as the vault would open it."""
    settings = vault_settings(aws={"region": REGION, "endpoint_url": url})
    opened = AwsSource(Connections(settings.vault, {}))
    yield opened
    await opened.aclose()


async def read(source: AwsSource, name: str, field: str | None = None) -> str:
    """The key, or the word for why there is none."""
    try:
        return (await source.read(key_source(aws=name, field=field))).reveal()
    except SourceError as error:
        assert "sk_" not in str(error)  # noqa: PT017 - only some reads fail
        return error.outcome


async def test_a_secret_by_name_and_arn(source: AwsSource, admin: Any) -> None:
    """A secret's text is the key, by its name or its ARN; with a field, a member of it."""
    arn = admin.create_secret(Name="invopop/acme", SecretString="sk_acme")["ARN"]
    admin.create_secret(Name="invopop/json", SecretString=json.dumps({"api_key": "sk_json"}))
    assert await read(source, "invopop/acme") == "sk_acme"
    assert await read(source, arn) == "sk_acme"
    assert await read(source, "invopop/json", "api_key") == "sk_json"


async def test_without_a_table_the_environment_says_where(
    url: str, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`[vault.aws]` may be left out: region and address are found as the AWS tools do."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", url)
    admin.create_secret(Name="invopop/by-environment", SecretString="sk_environment")
    opened = AwsSource(Connections(vault_settings().vault, {}))
    assert await read(opened, "invopop/by-environment") == "sk_environment"
    await opened.aclose()


async def test_the_current_version_is_read(source: AwsSource, admin: Any) -> None:
    """After a rotation the new version is the key."""
    admin.create_secret(Name="invopop/rotated", SecretString="sk_old")
    admin.put_secret_value(SecretId="invopop/rotated", SecretString="sk_new")
    assert await read(source, "invopop/rotated") == "sk_new"


async def test_what_is_not_there(source: AwsSource, admin: Any) -> None:
    """A missing or deleted secret is not found; a binary one is malformed."""
    admin.create_secret(Name="invopop/deleted", SecretString="sk_deleted")
    admin.delete_secret(SecretId="invopop/deleted")
    admin.create_secret(Name="invopop/binary", SecretBinary=b"sk_binary")
    assert await read(source, "invopop/none") == "not_found"
    assert await read(source, "invopop/deleted") == "not_found"
    assert await read(source, "invopop/binary") == "malformed"


async def test_a_store_that_is_away() -> None:
    """A store that takes no connection is unavailable."""
    table = {"region": REGION, "endpoint_url": "http://127.0.0.1:9"}
    opened = AwsSource(Connections(vault_settings(aws=table).vault, {}))
    assert await read(opened, "invopop/acme") == "unavailable"
    await opened.aclose()


async def test_the_library_logs_no_key(
    source: AwsSource, admin: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Case 172: with everything at debug level no key reaches a log."""
    admin.create_secret(Name="invopop/canary", SecretString="sk_canary")
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        assert await read(source, "invopop/canary") == "sk_canary"
    assert "sk_canary" not in caplog.text


async def test_a_tenant_of_this_store(url: str, admin: Any) -> None:
    """The vault loads and refreshes keys of this store like any other's."""
    admin.create_secret(Name="invopop/tenant", SecretString="sk_tenant")
    settings = vault_settings(aws={"region": REGION, "endpoint_url": url})
    vault = await loaded(vault_of(vault_file({"t": {"key": {"aws": "invopop/tenant"}}}), settings))
    async with running(vault):
        assert (await vault.read("t", "billing")).secret.reveal() == "sk_tenant"

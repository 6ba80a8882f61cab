"""One issuer with real keys for the whole run, because RSA keys are slow to make."""

import pytest

from gateway.identity.authenticator import Authenticator
from gateway.settings.schema import Settings
from tests.support.identities import ISSUER, build, settings_for
from tests.support.jwt import Issuer


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """An issuer with an RSA, an EC and an Ed25519 key, published in `jwks_file`."""
    return Issuer(tmp_path_factory.mktemp("issuer"), ISSUER)


@pytest.fixture
def settings(issuer: Issuer) -> Settings:
    """Three issuers by three kinds of keys, and callers known in every way."""
    return settings_for(issuer)


@pytest.fixture
def gate(settings: Settings) -> Authenticator:
    """An authenticator of these settings, its caches empty."""
    return build(settings)

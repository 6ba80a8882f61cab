"""How to reach the secret stores, and Invopop's issue of keys: the tables `[vault.NAME]`.

Rule: credentials of a store come from the environment or a file, never from a store.
"""

from pathlib import Path
from typing import Final, Literal

from pydantic import model_validator

from gateway.settings.key_sources import LocalSource, SecretSource
from gateway.settings.values import FilePath, Rate, Seconds, StoreUrl, Table, Text, Word, refuse

_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class AppRole(Table):
    """Login by AppRole: the role's id and a secret id."""

    role_id: Text
    """The role."""
    secret_id: LocalSource
    """The secret id."""
    mount: Text = "approle"
    """Where the login method is mounted."""


class KubernetesLogin(Table):
    """Login with the pod's projected service-account token."""

    role: Text
    """The role."""
    jwt_file: FilePath = _SERVICE_ACCOUNT
    """The pod's token, read at each login."""
    mount: Text = "kubernetes"
    """Where the login method is mounted."""


class OpenBao(Table):
    """OpenBao or HashiCorp Vault; a reference is `mount/path`. Exactly one way to log in."""

    url: StoreUrl
    """The server."""
    namespace: Text | None = None
    """The namespace of logins and secrets."""
    kv_version: Literal[1, 2] = 2
    """Version of the key/value engine."""
    ca_file: FilePath | None = None
    """The only trust anchors. Left out: the system's."""
    timeout: Seconds = 5.0
    """Longest time for one call."""
    token: LocalSource | None = None
    """A token to log in with, read again when it is refused."""
    approle: AppRole | None = None
    kubernetes: KubernetesLogin | None = None

    @model_validator(mode="after")
    def _one_login(self) -> "OpenBao":
        if sum(way is not None for way in (self.token, self.approle, self.kubernetes)) != 1:
            raise refuse("exactly one of token, approle, kubernetes")
        return self


class Aws(Table):
    """AWS Secrets Manager; credentials and, if not given here, the region are the SDK's own."""

    region: Text | None = None
    """The region; left out: as the SDK finds it."""
    endpoint_url: StoreUrl | None = None
    """Another address of the service, such as a VPC endpoint."""


class Gcp(Table):
    """Google Secret Manager; credentials are the application's default ones."""

    project: Text
    """The project that holds the secrets."""
    endpoint_url: StoreUrl | None = None
    """Another address of the service."""


class Azure(Table):
    """Azure Key Vault; credentials are the SDK's default ones."""

    vault_url: StoreUrl
    """The vault."""


class Invopop(Table):
    """An application of Invopop's, for which it issues short-lived keys: one secret, many
    tenants."""

    client_id: Word
    """The application's client id."""
    client_secret: SecretSource
    """The application's client secret, read again at a reload and when Invopop refuses it."""
    requests_per_second: Rate = 1000.0
    """Most calls to Invopop for keys, of all tenants together. 0 = no limit."""


class Stores(Table):
    """The tables `[vault.NAME]`: how to reach each store, and an application of Invopop's."""

    openbao: OpenBao | None = None
    aws: Aws | None = None
    gcp: Gcp | None = None
    azure: Azure | None = None
    invopop: Invopop | None = None

"""How to reach the secret stores: the tables `[vault.openbao]`, `.aws`, `.gcp` and `.azure`.

Law: credentials of a store come from the environment or a file, never from a store.
"""

from pathlib import Path
from typing import Final, Literal

from pydantic import model_validator

from gateway.settings.values import FilePath, Seconds, StoreUrl, Table, Text, refuse
from gateway.settings.vault_file import LocalSource

_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class AppRole(Table):
    """Login by AppRole: an identifier and a secret one."""

    role_id: Text
    secret_id: LocalSource
    mount: Text = "approle"


class KubernetesLogin(Table):
    """Login with the pod's projected service-account token."""

    role: Text
    jwt_file: FilePath = _SERVICE_ACCOUNT
    mount: Text = "kubernetes"


class OpenBao(Table):
    """OpenBao or HashiCorp Vault; a reference is `mount/path`. Exactly one way to log in."""

    url: StoreUrl
    namespace: Text | None = None
    kv_version: Literal[1, 2] = 2
    ca_file: FilePath | None = None
    timeout: Seconds = 5.0
    token: LocalSource | None = None
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
    endpoint_url: StoreUrl | None = None


class Gcp(Table):
    """Google Secret Manager; credentials are the application's default ones."""

    project: Text
    endpoint_url: StoreUrl | None = None


class Azure(Table):
    """Azure Key Vault; credentials are the SDK's default ones."""

    vault_url: StoreUrl

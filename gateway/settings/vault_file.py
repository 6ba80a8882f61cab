"""`vault.toml`: which key belongs to which tenant, and how others are found."""

from pydantic import Field
from pydantic.dataclasses import dataclass

from gateway.settings.key_sources import DiscoverySource, ListedSource
from gateway.settings.values import TABLE, Table, TenantName, Word


@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
class TenantEntry:
    """One tenant: the key in use, the one still valid while rotating, and their workspace."""

    key: ListedSource
    """The key in use."""
    previous: ListedSource | None = None
    """The other key, valid while rotating."""
    workspace: Word | None = None
    """The workspace that the keys must belong to; they are not used until Invopop has confirmed it.
    """


class Discover(Table):
    """Where to look for the key of a tenant that is not listed: a store's name with `{tenant}` in
    it."""

    key: DiscoverySource
    """Where the key is of a tenant that is not listed: a store's name with `{tenant}` in it."""


class VaultFile(Table):
    """The whole vault: tenants by name, and how to find others."""

    tenants: dict[TenantName, TenantEntry] = Field(default_factory=dict)
    discover: Discover | None = None

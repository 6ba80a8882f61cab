"""`vault.toml`: which key belongs to which tenant, who shares one, and how others are found."""

from typing import Annotated, Any, Final

from pydantic import AliasPath, BeforeValidator, Field
from pydantic.dataclasses import dataclass

from gateway.pin import Pin
from gateway.settings.countries import right_country
from gateway.settings.key_sources import DiscoverySource, ListedSource
from gateway.settings.values import (
    TABLE,
    Flag,
    Table,
    TenantName,
    TenantPattern,
    Word,
    refuse,
)

USE: Final = "use"


def _known_country(code: object) -> object:
    if expected := right_country(code):
        raise refuse(expected)
    return code


CountryCode = Annotated[str, BeforeValidator(_known_country)]


@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
class TenantEntry:
    """One tenant: the key in use, the one still valid while rotating, and what their workspace is.

    `workspace`, `sandbox` and `country` are pins: no key is used until Invopop has confirmed them.
    """

    key: ListedSource
    """The key in use."""
    previous: ListedSource | None = None
    """The other key, valid while rotating."""
    workspace: Word | None = None
    """The workspace that the keys must belong to."""
    sandbox: Flag | None = None
    """Whether that workspace must be a sandbox: false keeps test keys out, true live ones."""
    country: CountryCode | None = None
    """The country that the workspace must be based in."""

    @property
    def pin(self) -> Pin | None:
        """All pins together; None without any."""
        pin = Pin(self.workspace, self.sandbox, self.country)
        return None if pin == Pin() else pin


@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
class SharingEntry:
    """A tenant without a key of its own; as a glob (`[tenants."hotel-*"]`), any number of them.

    An exact name wins over globs, a longer glob over a shorter one, and the first of two equally
    long ones over the other.
    """

    use: TenantName
    """The tenant whose key, `previous`, pins and rotation it shares; nothing else is beside it."""


def _shares(entry: Any) -> bool:
    return isinstance(entry, SharingEntry) or (isinstance(entry, dict) and USE in entry)


def _owning(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    return {name: entry for name, entry in tree.items() if not _shares(entry)}


def _sharing(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return {}
    return {name: entry for name, entry in tree.items() if _shares(entry)}


def _exact(name: Any) -> Any:
    if isinstance(name, str) and "*" in name:
        raise refuse("one tenant's name, or only `use` in its table: a glob has no key of its own")
    return name


def _alone(entry: Any) -> Any:
    if isinstance(entry, dict) and len(entry) > 1:
        raise refuse("`use` alone: keys and pins are those of the tenant that it names")
    return entry


class Discover(Table):
    """Where to look for the key of a tenant that is not listed: a store's name with `{tenant}` in
    it."""

    key: DiscoverySource
    """Where the key is of a tenant that is not listed: a store's name with `{tenant}` in it."""


class VaultFile(Table):
    """The whole vault: tenants by name, those that share a key, and how to find others.

    The file has both kinds of tenants in `[tenants]`.
    """

    tenants: Annotated[
        dict[Annotated[TenantName, BeforeValidator(_exact)], TenantEntry], BeforeValidator(_owning)
    ] = Field(default_factory=dict)
    sharing: Annotated[
        dict[TenantPattern, Annotated[SharingEntry, BeforeValidator(_alone)]],
        BeforeValidator(_sharing),
    ] = Field(default_factory=dict, validation_alias=AliasPath("tenants"))
    discover: Discover | None = None

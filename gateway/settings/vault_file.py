"""`vault.toml`: which key belongs to which tenant, and where each key is read.

Law: says where a key is, never fetches it; a key written here is a `Secret` from the start.
"""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from gateway.secret import Secret
from gateway.settings.values import (
    TABLE,
    EnvironmentName,
    FilePath,
    Reference,
    Table,
    TenantName,
    Text,
    Word,
    expects,
    refuse,
)
from gateway.settings.wording import is_token, masked

STORES: Final = ("openbao", "aws", "gcp", "azure")
LOCAL: Final = ("env", "file", "value")
KINDS: Final = (*LOCAL, *STORES)


# Slots: a vault of 100,000 tenants has as many of these, and they live as long as the process.
@dataclass(frozen=True, slots=True, kw_only=True, config=TABLE)
class KeySource:
    """Where one key is: exactly one of the kinds, and a `field` where a document is read."""

    env: EnvironmentName | None = None
    """An environment variable; its value can change only with a restart."""
    file: FilePath | None = None
    """A file; one newline at its end is not part of the key."""
    value: Annotated[Secret, expects("a string")] | None = None
    """The key itself; only in a vault file that is encrypted or that others cannot read."""
    openbao: Reference | None = None
    """A secret in OpenBao or HashiCorp Vault: `mount/path`."""
    aws: Reference | None = None
    """A secret in AWS Secrets Manager."""
    gcp: Reference | None = None
    """A secret in Google Secret Manager."""
    azure: Reference | None = None
    """A secret in Azure Key Vault."""
    field: Text | None = None
    """The member to take, if the file or secret is a JSON document."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "KeySource":
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise refuse(f"exactly one of {', '.join(KINDS)}")
        if self.field is not None and self.kind in {"env", "value"}:
            raise refuse(f"no `field`: {self.kind} is the key itself")
        if is_token(f"{self.reference}#{self.field}"):
            raise refuse("where the key is; a key itself can stand in `value` only")
        return self

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def reference(self) -> str:
        """Where in its kind: a variable's name, a path, a store's name; "" for `value`."""
        return "" if self.value is not None else str(getattr(self, self.kind))

    def describe(self) -> str:
        """For people, without secret: `env ACME_INVOPOP_KEY`, `file /run/x#field`, `value`.

        A key that was pasted in a name's place is not shown, where its look gives it away.
        """
        directory, slash, name = self.reference.rpartition("/")
        name = f"{name}#{self.field}" if self.field else name
        return f"{self.kind} {directory}{slash}{name if name.isupper() else masked(name)}".strip()


def _listed(source: KeySource) -> KeySource:
    if source.kind in STORES and not {"{", "}"}.isdisjoint(source.reference):
        raise refuse("no braces: {tenant} is for [discover]")
    return source


ListedSource = Annotated[KeySource, AfterValidator(_listed)]


def _in_store(source: Any) -> Any:
    # Before all else: `{tenant}` is no lawful part of a variable's name, which is beside the point.
    named = [kind for kind in KINDS if isinstance(source, dict) and kind in source]
    if len(named) == 1 and named[0] not in STORES:
        raise refuse(f"a store ({', '.join(STORES)}): {named[0]} cannot find tenants")
    return source


def _discovering(source: KeySource) -> KeySource:
    prefix, found, suffix = source.reference.partition("{tenant}")
    if not found or not prefix or not {"{", "}"}.isdisjoint(prefix + suffix):
        raise refuse("a literal prefix, then {tenant} once")
    return source


def _local(source: KeySource) -> KeySource:
    if source.kind not in LOCAL:
        raise refuse(f"one of {', '.join(LOCAL)}: it must not need a store itself")
    return source


LocalSource = Annotated[KeySource, AfterValidator(_local)]


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

    key: Annotated[KeySource, BeforeValidator(_in_store), AfterValidator(_discovering)]
    """Where the key is of a tenant that is not listed: a store's name with `{tenant}` in it."""


class VaultFile(Table):
    """The whole vault: tenants by name, and how to find others."""

    tenants: dict[TenantName, TenantEntry] = Field(default_factory=dict)
    discover: Discover | None = None

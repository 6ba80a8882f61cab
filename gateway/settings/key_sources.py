"""Where keys are: the one table of key-source kinds, and a key source as a file names it.

Says where a key is, never fetches it; a key written here is a `Secret` from the start. Settings,
metrics and checks follow from `SOURCE_KINDS`: a further kind is one row here, and its opener.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AfterValidator, BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from gateway.secret import Secret
from gateway.settings.values import (
    EnvironmentName,
    FilePath,
    Reference,
    Text,
    Word,
    expects,
    refuse,
)
from gateway.settings.wording import is_token, masked


class NameRule(NamedTuple):
    """The names that a store can hold: all of a tenant's name in `pattern`, at most `longest`."""

    pattern: re.Pattern[str]
    longest: int


def _always(_: str) -> bool:
    return True


def _never(_: str) -> bool:
    return False


class SourceKind(NamedTuple):
    """One kind of key source.

    `reference` is the type of what a file writes as its value. `opener` is the class that reads
    it, imported when the first key of that kind is configured. A `local` kind needs no store, so
    a start waits for it; an `issued` key is made by Invopop, and short-lived; a `constant` one
    changes only with a restart or a reload; `documents` may be JSON, of which `field` names a
    member. `table` is the table `[vault.TABLE]` that says how to reach a store; it is needed if
    `needs_table` says so of a reference. `names` is there if the store allows less in a name than
    a tenant's may have. `[discover]` may name a kind that `finds` tenants, by a literal prefix and
    the tenant's name, or by that alone if keys are `issued`; it must not begin with `no_template`.
    """

    meaning: str
    reference: Any
    opener: str
    local: bool = False
    issued: bool = False
    constant: bool = False
    documents: bool = True
    table: str = ""
    needs_table: Callable[[str], bool] = _never
    names: NameRule | None = None
    finds: bool = True
    no_template: str = ""


SOURCE_KINDS: Final[Mapping[str, SourceKind]] = {
    "env": SourceKind(
        "An environment variable; its value can change only with a restart.",
        EnvironmentName,
        "gateway.vault.sources.local:EnvSource",
        local=True,
        constant=True,
        documents=False,
    ),
    "file": SourceKind(
        "A file; one newline at its end is not part of the key.",
        FilePath,
        "gateway.vault.sources.local:FileSource",
        local=True,
    ),
    "value": SourceKind(
        "The key itself; only in a vault file that is encrypted or that others cannot read.",
        Annotated[Secret, expects("a string")],
        "gateway.vault.sources.local:ValueSource",
        local=True,
        constant=True,
        documents=False,
    ),
    "openbao": SourceKind(
        "A secret in OpenBao or HashiCorp Vault: `mount/path`.",
        Reference,
        "gateway.vault.sources.openbao:OpenBaoSource",
        table="openbao",
        needs_table=_always,
    ),
    "aws": SourceKind(
        "A secret in AWS Secrets Manager.",
        Reference,
        "gateway.vault.sources.aws:AwsSource",
        table="aws",  # may be left out: AWS's SDK finds region and credentials by itself
        # AWS completes an ARN whose random end is missing: a tenant's name could choose another's.
        no_template="arn:",
    ),
    "gcp": SourceKind(
        "A secret in Google Secret Manager.",
        Reference,
        "gateway.vault.sources.gcp:GcpSource",
        table="gcp",
        needs_table=lambda reference: not reference.startswith("projects/"),
        names=NameRule(re.compile(r"[A-Za-z0-9_-]+"), 255),
    ),
    "azure": SourceKind(
        "A secret in Azure Key Vault.",
        Reference,
        "gateway.vault.sources.azure:AzureSource",
        table="azure",
        needs_table=_always,
        # Azure ignores letter case: only one spelling may be the tenant, or one key would belong
        # to many tenants, whatever a caller's `tenants` say.
        names=NameRule(re.compile(r"[a-z0-9-]+"), 127),
    ),
    "invopop": SourceKind(
        "The id of an owner (a workspace) for which Invopop issues keys to an application.",
        Word,
        "gateway.vault.sources.invopop:InvopopSource",
        issued=True,
        documents=False,
        table="invopop",
        needs_table=_always,
        # Ids are UUIDs, in which letter case means nothing: as for azure, one spelling is a tenant.
        names=NameRule(re.compile(r"[a-z0-9._-]+"), 128),
    ),
    "invopop_enrollment": SourceKind(
        "The id of an enrollment for which Invopop issues keys to an application.",
        Word,
        "gateway.vault.sources.invopop:InvopopSource",
        issued=True,
        documents=False,
        table="invopop",
        needs_table=_always,
        finds=False,
    ),
}
LOCAL: Final = tuple(name for name, kind in SOURCE_KINDS.items() if kind.local)
ISSUED: Final = tuple(name for name, kind in SOURCE_KINDS.items() if kind.issued)
STORES: Final = tuple(k for k in SOURCE_KINDS if k not in LOCAL and k not in ISSUED)
FINDERS: Final = tuple(n for n, kind in SOURCE_KINDS.items() if kind.finds and not kind.local)
STORE_TABLES: Final = tuple(dict.fromkeys(k.table for k in SOURCE_KINDS.values() if k.table))
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
FIELD: Final = "field"
FIELD_MEANING: Final = "The member to take, if the file or secret is a JSON document."


# Slots: a vault of 100,000 tenants has as many of these, and they live as long as the process.
@dataclass(frozen=True, slots=True)
class KeySource:
    """Where one key is: exactly one of the kinds, and a `field` where a document is read."""

    kind: str  # a name of `SOURCE_KINDS`
    reference: str  # a variable's name, an absolute path, a store's name; "" for `value`
    field: str | None = None
    value: Secret | None = None

    @property
    def file(self) -> Path | None:
        """The file it is read from, if it is one."""
        return Path(self.reference) if self.kind == "file" else None

    def describe(self) -> str:
        """For people, without secret: `env ACME_INVOPOP_KEY`, `file /run/x#field`, `value`.

        A key that was pasted in place of a name is not shown, if it looks like one.
        """
        directory, slash, name = self.reference.rpartition("/")
        name = f"{name}#{self.field}" if self.field else name
        return f"{self.kind} {masked(directory)}{slash}{masked(name)}".strip()

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """As files write it: a table with one of the kinds, and perhaps `field`."""
        types = {name: kind.reference for name, kind in SOURCE_KINDS.items()} | {FIELD: Text}
        written = core_schema.typed_dict_schema(
            {
                name: core_schema.typed_dict_field(handler.generate_schema(type_), required=False)
                for name, type_ in types.items()
            },
            extra_behavior="forbid",
            config=core_schema.CoreConfig(hide_input_in_errors=True),
        )
        return core_schema.no_info_wrap_validator_function(_read, written)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The table with exactly one of the kinds, each with its meaning."""
        return _one_of(handler(schema), SOURCE_KINDS)


def _one_of(table: dict[str, Any], kinds: Iterable[str]) -> dict[str, Any]:
    written = table["properties"]
    shown = {kind: written[kind] | {"description": SOURCE_KINDS[kind].meaning} for kind in kinds}
    shown[FIELD] = written[FIELD] | {"description": FIELD_MEANING}
    return table | {"properties": shown, "oneOf": [{"required": [kind]} for kind in kinds]}


class _Only(NamedTuple):
    """In JSON Schema: only these kinds may stand here."""

    kinds: tuple[str, ...]

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return _one_of(handler(schema), self.kinds)


def _read(value: Any, handler: core_schema.ValidatorFunctionWrapHandler) -> KeySource:
    if isinstance(value, KeySource):
        return value
    written: dict[str, Any] = handler(value)
    named = [name for name in written if name != FIELD]
    if len(named) != 1:
        raise refuse(f"exactly one of {', '.join(SOURCE_KINDS)}")
    kind, field = named[0], written.get(FIELD)
    if field is not None and not SOURCE_KINDS[kind].documents:
        raise refuse(f"no `field`: {kind} is the key itself")
    place = written[kind]
    if isinstance(place, Secret):
        return KeySource(kind, "", field, place)
    if is_token(f"{place}#{field}"):
        raise refuse("where the key is; a key itself can stand in `value` only")
    if kind in ISSUED and _UUID.fullmatch(place):
        place = place.lower()  # RFC 9562 4: two spellings of one id are one id
    return KeySource(kind, str(place), field)


def _listed(source: KeySource) -> KeySource:
    if source.kind not in LOCAL and not {"{", "}"}.isdisjoint(source.reference):
        raise refuse("no braces: {tenant} is for [discover]")
    return source


def _in_store(source: Any) -> Any:
    # First of all: that a variable's name cannot hold `{tenant}` is not the point.
    named = [kind for kind in SOURCE_KINDS if isinstance(source, dict) and kind in source]
    if len(named) == 1 and named[0] not in FINDERS:
        raise refuse(f"one of {', '.join(FINDERS)}: {named[0]} cannot find tenants")
    return source


def _discovering(source: KeySource) -> KeySource:
    if source.kind in ISSUED:
        if source.reference != "{tenant}":
            raise refuse("\"{tenant}\" alone: the tenant's name is the owner's id")
        return source
    prefix, found, suffix = source.reference.partition("{tenant}")
    if not found or not prefix or not {"{", "}"}.isdisjoint(prefix + suffix):
        raise refuse("a literal prefix, then {tenant} once")
    forbidden = SOURCE_KINDS[source.kind].no_template
    if forbidden and prefix.lower().startswith(forbidden):
        raise refuse(f"the name of a secret in {source.kind}, not one that begins with {forbidden}")
    return source


def _local(source: KeySource) -> KeySource:
    if source.kind not in LOCAL:
        raise refuse(f"one of {', '.join(LOCAL)}: it must not need a store itself")
    return source


def _secret(source: KeySource) -> KeySource:
    if source.kind in ISSUED:
        raise refuse(f"one of {', '.join((*LOCAL, *STORES))}: Invopop issues tenants' keys only")
    return _listed(source)


ListedSource = Annotated[KeySource, AfterValidator(_listed)]
SecretSource = Annotated[KeySource, AfterValidator(_secret), _Only((*LOCAL, *STORES))]
LocalSource = Annotated[KeySource, AfterValidator(_local), _Only(LOCAL)]
DiscoverySource = Annotated[
    KeySource, BeforeValidator(_in_store), AfterValidator(_discovering), _Only(FINDERS)
]

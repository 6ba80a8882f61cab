"""`keys list|set|rotate|remove|encrypt|decrypt`: works on the vault file, plain or encrypted.

Rule: a key comes from a prompt or stdin, never from argv, and is never printed.
"""

import asyncio
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import tomlkit
import typer

from gateway.cli.configuration import ConfigOption, fail, load_as_administrator, wired
from gateway.cli.streams import secret_line
from gateway.cli.vault_files import VaultText, change, convert, make_identity, open_vault, read
from gateway.cli.vault_text import (
    EditError,
    entries,
    refuse_shared,
    refuse_source,
    rotated,
    with_key,
    without,
)
from gateway.errors import ConfigurationError
from gateway.secret import Secret
from gateway.settings.load import Loaded
from gateway.settings.sealed import SUFFIX
from gateway.settings.wording import printable
from gateway.vault.sources.key_check import fault_in

_NO_IDENTITY: Final = (
    "there is no identity to encrypt for: name one in vault.identity, "
    "or make one with --new-identity FILE"
)
TenantArgument = Annotated[
    str, typer.Argument(metavar="TENANT", help="The tenant's name in [tenants].")
]
ReplaceOption = Annotated[
    bool,
    typer.Option(
        "--replace-source",
        help="Replace a key that is in a file or store; it is no longer read from there.",
    ),
]


def keys() -> typer.Typer:
    """The commands as a group."""
    group = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        help="Work on the vault file.",
    )
    group.command("list")(list_)
    group.command("set")(set_)
    for command in (rotate, remove, encrypt, decrypt):
        group.command()(command)
    return group


def list_(config: ConfigOption = None) -> None:
    """List the keys that the vault file names, without showing any."""
    loaded = load_as_administrator(config)
    with _vault(loaded) as vault:
        found = entries(read(vault))
        read_here = asyncio.run(_fingerprints(loaded))
    for entry in found:
        fingerprint = entry.fingerprint or read_here.get((entry.tenant, entry.slot), "")
        parts = (entry.tenant, entry.slot, entry.source, fingerprint)
        typer.echo(printable("  ".join(filter(None, parts))))


async def _fingerprints(loaded: Loaded) -> dict[tuple[str, str], str]:
    """Of every key that can be read on this machine; stores are not called."""
    settings = loaded.settings
    lenient = settings.vault.model_copy(update={"strict": False})
    try:
        async with wired(
            loaded._replace(settings=settings.model_copy(update={"vault": lenient}))
        ) as gateway:
            rows = gateway.services.vault.tenants()
            return {(row.tenant, row.slot): row.fingerprint for row in rows}
    except ConfigurationError:  # `check` says what is wrong; the list does not need it
        return {}


def set_(
    tenant: TenantArgument, config: ConfigOption = None, replace_source: ReplaceOption = False
) -> None:
    """Set a tenant's key, read from a prompt or from stdin."""
    key = _change(tenant, config, with_key, replace_source=replace_source)
    typer.echo(f"set {tenant}: {key.fingerprint}")


def rotate(
    tenant: TenantArgument, config: ConfigOption = None, replace_source: ReplaceOption = False
) -> None:
    """Set a tenant's new key; the one in use becomes `previous`."""
    key = _change(tenant, config, rotated, replace_source=replace_source)
    typer.echo(f"rotated {tenant}: {key.fingerprint}; the old key stays as `previous`")


def remove(tenant: TenantArgument, config: ConfigOption = None) -> None:
    """Remove a tenant with its keys."""
    with _vault(load_as_administrator(config)) as vault:
        change(vault, lambda text: without(text, tenant))
    typer.echo(f"removed {tenant}")


def encrypt(
    config: ConfigOption = None,
    new: Annotated[
        Path | None,
        typer.Option(
            "--new-identity", metavar="FILE", help="Make an age identity and write it to this file."
        ),
    ] = None,
) -> None:
    """Encrypt the vault file with age.

    Its identity is what `vault.identity` names, or a new one.
    """
    loaded = load_as_administrator(config)
    with _vault(loaded) as vault:
        if vault.sealed:
            raise EditError(f"{vault.path} is encrypted already")
        if vault.identity is None and new is None:
            raise EditError(_NO_IDENTITY)
        with _opener(vault, new) as opener:
            sealed = convert(opener, vault.path.with_name(vault.path.name + SUFFIX))
    typer.echo(f"encrypted {sealed.path}; the plain file is gone. In gateway.toml:")
    typer.echo(f"[vault]\nfile = {_as_set(sealed.path, loaded)}")
    if new is not None:
        typer.echo(f"identity = {{ file = {_as_set(new.absolute(), loaded)} }}")
        if sealed.path.stat().st_mode & stat.S_IRGRP:
            typer.echo(f"The vault file's group cannot read {new}: chmod 640, if it has to.")


def decrypt(config: ConfigOption = None) -> None:
    """Decrypt the vault file."""
    loaded = load_as_administrator(config)
    with _vault(loaded) as vault:
        if not vault.sealed:
            raise EditError(f"{vault.path} is not encrypted")
        plain = convert(vault, vault.path.with_suffix(""))
    typer.echo(f"decrypted {plain.path}. In gateway.toml:")
    typer.echo(f"[vault]\nfile = {_as_set(plain.path, loaded)}")


@contextmanager
def _vault(loaded: Loaded) -> Iterator[VaultText]:
    """The configured vault file. Errors are printed, with exit code 1."""
    try:
        yield open_vault(loaded.settings.vault, os.environ)
    except ConfigurationError as error:
        fail(error)
    except EditError as error:
        typer.echo(f"error: {printable(str(error))}", err=True)
        raise typer.Exit(1) from None


def _change(
    tenant: str,
    config: Path | None,
    edit: Callable[[str, str, Secret], str],
    *,
    replace_source: bool,
) -> Secret:
    """Asks for the tenant's new key and puts it into the vault file by `edit`."""

    def checked(text: str) -> str:
        if not replace_source:
            refuse_source(text, tenant)
        return edit(text, tenant, key)

    with _vault(load_as_administrator(config)) as vault:
        text = read(vault)
        refuse_shared(text, tenant)  # before anybody types a key
        if not replace_source:
            refuse_source(text, tenant)
        key = _ask_key(tenant)
        change(vault, checked)
    return key


def _ask_key(tenant: str) -> Secret:
    key = Secret(secret_line(f"New key of {tenant}", err=False))
    if fault := fault_in(key.reveal()):
        raise EditError(f"the key {fault}")
    return key


@contextmanager
def _opener(vault: VaultText, new: Path | None) -> Iterator[VaultText]:
    """The vault with the identity to encrypt it for; a new identity is deleted if that fails.

    It is kept on an interrupt: by then the vault may be encrypted.
    """
    if new is None:
        yield vault
        return
    identity = make_identity(new, vault.path)
    try:
        yield vault._replace(identity=identity)
    except (ConfigurationError, EditError):
        new.unlink()
        raise


def _as_set(path: Path, loaded: Loaded) -> str:
    """The path as a TOML string, as the configuration file would name it."""
    directory = loaded.file.parent
    named = path.relative_to(directory) if path.is_relative_to(directory) else path
    return tomlkit.item(str(named)).as_string()

"""What is allowed but probably not meant. Pure: yields warnings, never stops a start."""

from collections.abc import Iterator

from gateway.settings.callers import CallerSettings
from gateway.settings.schema import Settings
from gateway.settings.vault_file import VaultFile
from gateway.settings.wording import key_path


def notices(settings: Settings, vault: VaultFile) -> Iterator[str]:
    """Warnings, each beginning with the key path that it is about."""
    if not vault.tenants and vault.discover is None:
        yield "tenants: the vault is empty; every request will be refused"
    if not settings.callers:
        yield "callers: there are none; every request will be refused"
    for name, caller in settings.callers.items():
        for text in _caller(caller, settings):
            yield f"{key_path(('callers', name))}: {text}"


def _caller(caller: CallerSettings, settings: Settings) -> Iterator[str]:
    issuers = caller.issuers if caller.issuers is not None else settings.issuers
    if not (caller.tokens or issuers or caller.networks or caller.certificates):
        yield "has no token, issuer, network or certificate; nobody can be this caller"
    if not caller.tenants:
        yield "has no tenants; its requests will be refused"
    on_socket = settings.listen.socket is not None
    for network in caller.networks:
        if network.startswith("unix") != on_socket:
            yield f'network "{network}" never matches: see listen.socket'
        elif network.endswith("/0"):
            yield f'network "{network}" makes everyone who reaches the port this caller'

"""Vault files encrypted in the age format (`vault.toml.age`): opened and closed here, in memory.

Rule: no message quotes an identity or a byte of what was opened. Needs the extra `age`.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.errors import refused
from gateway.secret import Secret
from gateway.settings.key_sources import KeySource

SUFFIX: Final = ".age"


def unseal(path: Path, data: bytes, identity: Secret) -> bytes:
    """The plain bytes of an encrypted file; raises `ConfigurationError`."""
    age = _age(path)
    identities = _identities(age, path, identity)
    try:
        return bytes(age.decrypt(data, identities))
    except age.DecryptError:
        found = "a file that vault.identity does not open"
        raise refused(str(path), "", found, "the identity it was encrypted for") from None


def seal(path: Path, data: bytes, identity: Secret) -> bytes:
    """The bytes encrypted for the identity's own recipient; raises `ConfigurationError`."""
    age = _age(path)
    recipients = [one.to_public() for one in _identities(age, path, identity)]
    return bytes(age.encrypt(data, recipients))


def read_identity(path: Path, source: KeySource | None, environ: Mapping[str, str]) -> Secret:
    """The age identity that `vault.identity` names; raises `ConfigurationError`."""
    expected = "an age identity (AGE-SECRET-KEY-1…)"
    if source is None:
        raise refused(str(path), "vault.identity", "nothing", f"{expected}: the file is encrypted")
    if source.value is not None:
        return source.value
    if source.kind == "env":
        value = environ.get(source.reference)
        if value is None:
            raise refused(str(path), "vault.identity", f"{source.describe()}, not set", expected)
        return Secret(value)
    try:
        return Secret(Path(source.reference).read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        found = f"{source.describe()}, which cannot be read ({type(error).__name__})"
        raise refused(str(path), "vault.identity", found, expected) from None


def new_identity() -> tuple[Secret, str]:
    """A fresh identity, and its recipient, which is public; raises `ConfigurationError`."""
    identity = _age(Path("vault.toml.age")).x25519.Identity.generate()
    return Secret(str(identity)), str(identity.to_public())


def _identities(age: Any, path: Path, identity: Secret) -> list[Any]:
    # The format of age-keygen: one identity a line, comments between.
    lines = [line.strip() for line in identity.reveal().splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    try:
        identities = [age.x25519.Identity.from_str(line) for line in keys]
    except age.IdentityError:
        identities = []
    if not identities:
        raise refused(str(path), "vault.identity", "no age identity", "AGE-SECRET-KEY-1…")
    return identities


def _age(path: Path) -> Any:
    try:
        return importlib.import_module("pyrage")
    except ModuleNotFoundError:
        expected = "the extra `age`: pip install 'invopop-gateway[age]'"
        raise refused(str(path), "", "an encrypted vault file", expected) from None

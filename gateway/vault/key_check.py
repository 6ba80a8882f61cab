"""May this value be sent as a key? Decides; quotes nothing of what it refuses."""

from typing import Final

from gateway.secret import Secret
from gateway.vault.sources.source import MALFORMED, SourceError

MAX_KEY: Final = 16 * 1024  # bytes; Invopop's keys are JWTs of some 300


def check_key(secret: Secret) -> None:
    """Raises `SourceError` unless the key is 1 to 16,384 visible ASCII characters.

    RFC 9110 5.5: anything else would change or break the header that bears it.
    """
    if fault := fault_in(secret.reveal()):
        raise SourceError(MALFORMED, f"the key {fault}")


def fault_in(value: str) -> str | None:
    """What is wrong with a key, in words that hold nothing of it; None if nothing is."""
    if not value:
        return "is empty"
    if len(value) > MAX_KEY:
        return f"is longer than {MAX_KEY} characters"
    if "\r" in value or "\n" in value:
        return "holds a line break"
    if not value.isascii():
        return "holds a character outside ASCII"
    if not all("!" <= character <= "~" for character in value):
        return "holds a space, a tab or a control character"
    return None

"""What a key source is: one `read`, one error. Rule: no message holds a key's value."""

import json
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from typing import Any, Final, Literal, NamedTuple

from gateway.network.resolver import Resolver
from gateway.secret import Secret
from gateway.settings.key_sources import KeySource
from gateway.settings.schema import VaultSettings

ReadFailure = Literal["not_found", "denied", "unavailable", "malformed"]
"""Why a source gave no key."""

NOT_FOUND: Final = "not_found"
DENIED: Final = "denied"
UNAVAILABLE: Final = "unavailable"
MALFORMED: Final = "malformed"


class SourceError(Exception):
    """A source gave no key. `reason` is for operators.

    It names the place (a variable, a path in a store), never what was found there.
    """

    def __init__(self, outcome: ReadFailure, reason: str) -> None:
        super().__init__(f"{outcome}: {reason}")
        self.outcome: ReadFailure = outcome
        self.reason = reason


class Connections(NamedTuple):
    """What sources are made from: the `[vault]` settings and the process's environment.

    `anchor` is what a CA file that they name held: sources made from another are other sources.
    All of them resolve names by `resolver`, which nobody else does.
    """

    settings: VaultSettings
    environ: Mapping[str, str]
    anchor: bytes = b""
    resolver: Resolver | None = None

    def renewed(self, settings: VaultSettings) -> "Connections":
        """By these settings, with the CA file as it is now; it may block.

        A file that cannot be read is reported when the source is opened.
        """
        path = settings.openbao.ca_file if settings.openbao is not None else None
        try:
            return self._replace(settings=settings, anchor=path.read_bytes() if path else b"")
        except OSError:
            return self._replace(settings=settings, anchor=b"")


class Source(ABC):
    """One kind of key source, shared by all tenants that name it."""

    @abstractmethod
    async def read(self, source: KeySource) -> Secret:
        """The value now at `source`, unchecked; raises `SourceError`. Cancelled if it hangs."""

    def mark(self, source: KeySource) -> Hashable:
        """Equal marks mean an equal value; None says nothing. Called in a thread: it may block."""
        del source
        return None

    async def aclose(self) -> None:  # noqa: B027 - those of this machine keep nothing open
        """Closes connections; no read may follow."""


def member(text: str, field: str | None, place: str) -> str:
    """The text itself, or with `field` that member of it as a JSON object."""
    if field is None:
        return text
    try:
        document = json.loads(text)
    except ValueError:
        # The decoder's own message quotes the document.
        raise SourceError(MALFORMED, f"{place} is not JSON, so it has no field") from None
    return member_of(document, field, place)


def member_of(document: Any, field: str | None, place: str) -> str:
    """A string member of a JSON object; without `field` its only one."""
    if not isinstance(document, dict):
        raise SourceError(MALFORMED, f"{place} is not a JSON object")
    if field is None:
        if len(document) != 1:
            raise SourceError(
                MALFORMED, f"{place} has {len(document)} members: name one with `field`"
            )
        field = next(iter(document))
    value = document.get(field)
    if not isinstance(value, str):
        found = "is not a string" if field in document else "does not exist"
        raise SourceError(MALFORMED, f"member {field!r} of {place} {found}")
    return value

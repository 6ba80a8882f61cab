"""What a key source is: one `read`, one error. Rule: no message holds a key's value."""

import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Hashable, Mapping
from math import inf
from typing import Any, Final, Literal, NamedTuple

from gateway.model import Headers
from gateway.network.resolver import Resolver
from gateway.secret import Secret
from gateway.settings.key_sources import KeySource
from gateway.settings.schema import VaultSettings

ReadFailure = Literal["not_found", "denied", "unavailable", "malformed", "disabled"]
"""Why a source gave no key; "disabled": Invopop does not issue keys for that enrollment now."""

NOT_FOUND: Final = "not_found"
DENIED: Final = "denied"
UNAVAILABLE: Final = "unavailable"
MALFORMED: Final = "malformed"
DISABLED: Final = "disabled"


class SourceError(Exception):
    """A source gave no key. `reason` is for operators.

    It names the place (a variable, a path in a store), never what was found there. A failure of
    the source as a whole says for how long nobody need ask again (`retry_after`, seconds), and
    what fails without having been asked meanwhile has been `reported` already.
    """

    def __init__(
        self,
        outcome: ReadFailure,
        reason: str,
        *,
        retry_after: float = inf,
        reported: bool = False,
    ) -> None:
        super().__init__(f"{outcome}: {reason}")
        self.outcome: ReadFailure = outcome
        self.reason = reason
        self.retry_after = retry_after
        self.reported = reported


class KeyRead(NamedTuple):
    """A key as its source gave it, unchecked.

    One that Invopop issued ends at `expires_at` (seconds since the epoch), belongs to that
    `workspace`, and has lived since its request was sent at `asked_at` (monotonic seconds).
    """

    secret: Secret
    expires_at: float | None = None
    workspace: str = ""


Authorize = Callable[[bytes], Awaitable[tuple[int, Headers, bytes]]]
"""Sends a body to Invopop's `authorize`: status, headers and body of the reply, or `GatewayError`.
"""

Fetch = Callable[[KeySource], Awaitable[Secret]]
"""Reads any other secret of the configuration; raises `SourceError`."""


class Connections(NamedTuple):
    """What sources are made from: the `[vault]` settings and the process's environment.

    `anchor` is what a CA file that they name held: sources made from another are other sources.
    All of them resolve names by `resolver`, which nobody else does. Keys that Invopop issues come
    from `upstream` by `authorize`, and `fetch` reads the secret that this needs.
    """

    settings: VaultSettings
    environ: Mapping[str, str]
    anchor: bytes = b""
    resolver: Resolver | None = None
    upstream: str = ""
    authorize: Authorize | None = None
    fetch: Fetch | None = None

    @property
    def application(self) -> tuple[str, str]:
        """For whom, and by whom, keys are issued: no key outlives a change of either."""
        invopop = self.settings.invopop
        return (self.upstream, invopop.client_id if invopop is not None else "")

    def renewed(self, settings: VaultSettings, upstream: str = "") -> "Connections":
        """By these settings, with the CA file as it is now; it may block.

        A file that cannot be read is reported when the source is opened.
        """
        path = settings.openbao.ca_file if settings.openbao is not None else None
        new = self._replace(settings=settings, anchor=b"", upstream=upstream)
        try:
            return new._replace(anchor=path.read_bytes()) if path else new
        except OSError:
            return new


class Source(ABC):
    """One kind of key source, shared by all tenants that name it."""

    @abstractmethod
    async def read(self, source: KeySource) -> Secret:
        """The value now at `source`, unchecked; raises `SourceError`. Cancelled if it hangs."""

    async def lease(self, source: KeySource) -> KeyRead:
        """As `read`; a kind whose keys are issued says more of them."""
        return KeyRead(await self.read(source))

    async def ready(self) -> None:  # noqa: B027 - most are always ready
        """Returns once a read may succeed that nobody waits for: not while all of them fail."""

    def reloaded(self) -> None:  # noqa: B027 - most read all anew each time
        """The configuration, and whatever it names, may have changed."""

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

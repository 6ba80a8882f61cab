"""Keys that Invopop issues to an application: `POST /access/v1/enrollment/authorize`.

Rule: a key is taken only from an enrollment that is enabled and is the one asked for; neither the
application's secret nor a reply is ever quoted.
"""

import re
import time
from typing import Any, Final

import orjson

from gateway.secret import Secret
from gateway.settings.key_sources import KeySource
from gateway.vault.key_ring import LATEST
from gateway.vault.sources.application import ApplicationCalls
from gateway.vault.sources.source import (
    DISABLED,
    MALFORMED,
    NOT_FOUND,
    UNAVAILABLE,
    Connections,
    KeyRead,
    Source,
    SourceError,
)

# What the request calls the id that a source names, and the reply the enrollment that it is of.
_ASKED: Final = {"invopop": "owner_id", "invopop_enrollment": "id"}
# What an id looks like (RFC 9562 4). Of another name Invopop may say that it is malformed, which
# then means the same as that there is none.
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class InvopopSource(Source):
    """`{ invopop = "OWNER" }` and `{ invopop_enrollment = "ENROLLMENT" }`"""

    def __init__(self, connections: Connections) -> None:
        if connections.settings.invopop is None:
            raise SourceError(
                UNAVAILABLE, "invopop: add a [vault.invopop] table that names the application"
            )
        self._application = ApplicationCalls(connections.settings.invopop, connections)

    async def read(self, source: KeySource) -> Secret:
        """A new key, without what is known of it."""
        return (await self.lease(source)).secret

    async def lease(self, source: KeySource) -> KeyRead:
        """A new key."""
        asked = _ASKED[source.kind]
        status, body = await self._application.authorize({asked: source.reference})
        if status == 404 or (status in {400, 422} and not _UUID.fullmatch(source.reference)):
            raise SourceError(NOT_FOUND, f"{source.describe()}: not enrolled ({status})")
        if status != 200:
            raise SourceError(MALFORMED, f"{source.describe()}: Invopop answered {status}")
        return _lease(_enrollment(body, source), asked, source, time.time())

    async def ready(self) -> None:
        """Returns once Invopop may be asked again after a failure that was no tenant's own."""
        await self._application.ready()

    def reloaded(self) -> None:
        """The application's secret may be another one by now."""
        self._application.reloaded()

    async def aclose(self) -> None:
        """Nobody waits any longer. The connections are not its own."""
        self._application.reloaded()


def _enrollment(body: bytes, source: KeySource) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):  # a proxy in between, perhaps
        reason = f"{source.describe()}: the reply is not an enrollment"
        raise SourceError(UNAVAILABLE, reason)
    return found


def _lease(enrollment: dict[str, Any], asked: str, source: KeySource, now: float) -> KeyRead:
    """The key of an enrollment, whose id or owner must be the one asked for."""
    found = enrollment.get(asked)
    if not isinstance(found, str) or found.lower() != source.reference.lower():
        raise SourceError(MALFORMED, f"{source.describe()}: Invopop answered for another {asked}")
    # Whatever is not plainly false says that it is disabled.
    if enrollment.get("disabled", False) is not False:
        raise SourceError(DISABLED, f"{source.describe()}: the enrollment is disabled")
    token, expires_at = enrollment.get("token"), enrollment.get("token_expires")
    if not isinstance(token, str) or not token:
        raise SourceError(MALFORMED, f"{source.describe()}: the reply holds no token")
    if not isinstance(expires_at, int | float) or not now < expires_at <= LATEST:
        raise SourceError(
            MALFORMED,
            f"{source.describe()}: token_expires is no time to come; "
            "is the clock of this machine right?",
        )
    owner = enrollment.get("owner_id")
    return KeyRead(Secret(token), float(expires_at), owner if isinstance(owner, str) else "")

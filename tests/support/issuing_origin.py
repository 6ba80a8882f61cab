"""An Invopop that issues keys to an application, and takes no others: its answers, without sockets.

It knows of each key when it ends and whose it is. Whatever it does wrong is asked of it by name.
"""

import contextlib
import itertools
import json
import time
from typing import Any

from tests.support.origin import Connection, Request, ok

AUTHORIZE = b"/access/v1/enrollment/authorize"
CLIENT_ID = "XzhLPeXCi3GBVg"
SECRET = "sentinel-client-secret-000000000000000001"
OWNER = "347c5b04-cde2-11ed-afa1-0242ac120002"
OTHER = "5b45453c-cdd0-11ed-afa1-0242ac120002"


class Issuer:
    """`enrolled` are enrollments by owner; `secret` the one accepted; `life` a key's in seconds.

    `answer` (status, body) replaces every answer to `authorize`; `change` members of good ones.
    `asked` are the bodies of the calls, in order; `issued` the keys, by owner.
    """

    def __init__(self, *owners: str) -> None:
        self.enrolled = {owner: f"e-{number}" for number, owner in enumerate(owners)}
        self.secret = SECRET
        self.life = 3600.0
        self.answer: tuple[int, bytes] | None = None
        self.change: dict[str, Any] = {}
        self.asked: list[dict[str, Any]] = []
        self.issued: dict[str, list[str]] = {}
        self._ends: dict[str, tuple[str, float]] = {}
        self._number = itertools.count(1)

    def authorize(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to a call."""
        asked = json.loads(body)
        self.asked.append(asked)
        if self.answer is not None:
            return self.answer
        if (asked.get("client_id"), asked.get("client_secret")) != (CLIENT_ID, self.secret):
            return 401, b'{"message":"Unauthorized"}'
        owner = self._owner(asked)
        if owner is None:
            return 404, b'{"key":"not-found","message":"not found"}'
        return 200, json.dumps(self._enrollment(owner) | self.change).encode()

    def revoke(self) -> None:
        """No key issued until now is accepted any more."""
        self._ends.clear()

    def opens(self, key: str) -> str:
        """The owner whose key this is, or "" if it opens nothing now."""
        owner, ends = self._ends.get(key, ("", 0.0))
        return owner if time.time() < ends else ""

    def script(self, connection: Connection) -> None:
        """Answers on a connection of an `Origin`, until nobody asks for a while."""
        with contextlib.suppress(TimeoutError):
            while (request := connection.request()) is not None:
                status, body = self._answer(request)
                head = ok(body, b"Content-Type: application/json")
                connection.send(head.replace(b"200 OK", b"%d Answer" % status, 1))

    def _answer(self, request: Request) -> tuple[int, bytes]:
        if request.target == AUTHORIZE:
            return self.authorize(request.body)
        (shown,) = request.values(b"authorization")
        owner = self.opens(shown.removeprefix(b"Bearer ").decode())
        return (200, json.dumps({"id": owner}).encode()) if owner else (401, b"{}")

    def _owner(self, asked: dict[str, Any]) -> str | None:
        if (owner := asked.get("owner_id")) is not None:
            return owner if owner in self.enrolled else None
        found = (o for o, enrollment in self.enrolled.items() if enrollment == asked.get("id"))
        return next(found, None)

    def _enrollment(self, owner: str) -> dict[str, Any]:
        key = f"sentinel-issued-key-{next(self._number):06}"
        ends = int(time.time() + self.life)
        self.issued.setdefault(owner, []).append(key)
        self._ends[key] = (owner, ends)
        return {
            "id": self.enrolled[owner],
            "owner_id": owner,
            "sandbox": True,
            "token": key,
            "token_expires": ends,
        }

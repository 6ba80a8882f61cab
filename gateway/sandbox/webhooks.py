"""Webhooks to a receiver on this machine, retried as Invopop does, so that it can be tried out.

Only 200 and 204 count as received. After anything else it is sent again, 5 s later, then after
twice as long each time up to 1280 s, then every 30 minutes for 12 hours; unless the reply is JSON
with `retry_in` (seconds), which is followed up to 32 times (Invopop's guide to webhooks).
"""

import asyncio
import ipaddress
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import httpx

from gateway.sandbox.state import Outcome
from gateway.sandbox.store import Json

_FIRST: Final = 5.0
_LONGEST: Final = 1280.0
_THEN: Final = 1800.0
_IN_ALL: Final = 12 * 3600.0
_ASKED_FOR: Final = 32
_TIMEOUT: Final = 30.0


class Receiver(NamedTuple):
    """Where webhooks go, and with which bearer token; `pace` shortens every wait, for tests."""

    url: str
    token: str
    pace: float = 1.0


def is_local(url: str) -> bool:
    """Whether a URL is http or https and leads to this machine."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    if parsed.scheme not in ("http", "https"):
        return False
    try:
        return ipaddress.ip_address(parsed.host).is_loopback
    except ValueError:
        return parsed.host == "localhost"


def waits() -> Iterator[float]:
    """The seconds before each retry, in turn, until the time for them is over."""
    wait, spent = _FIRST, 0.0
    while spent < _IN_ALL:
        yield wait
        spent += wait
        wait = _THEN if wait >= _LONGEST else min(2 * wait, _LONGEST)


class Webhooks:
    """Sends what it is given, each delivery by itself, as long as `run` runs."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._given: asyncio.Queue[tuple[Json, Callable[[Outcome], None]]] = asyncio.Queue()

    def deliver(self, body: Json, done: Callable[[Outcome], None]) -> None:
        """Sends a body soon; `done` is called once, with the outcome."""
        self._given.put_nowait((body, done))

    async def run(self) -> None:
        """Sends until it is cancelled."""
        client = httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT)
        async with client, asyncio.TaskGroup() as deliveries:
            while True:
                body, done = await self._given.get()
                deliveries.create_task(self._one(client, body, done))

    async def _one(
        self, client: httpx.AsyncClient, body: Json, done: Callable[[Outcome], None]
    ) -> None:
        usual, asked = waits(), 0
        while True:
            outcome, retry_in = await self._send(client, body)
            if outcome.status == "OK":
                break
            asked += retry_in is not None
            wait = retry_in if retry_in is not None else next(usual, None)
            if wait is None or asked > _ASKED_FOR:
                break
            await asyncio.sleep(wait * self._receiver.pace)
        done(outcome)

    async def _send(self, client: httpx.AsyncClient, body: Json) -> tuple[Outcome, float | None]:
        """One attempt: what came of it, and the seconds that the receiver asks to wait."""
        headers = {"Authorization": f"Bearer {self._receiver.token}"}
        try:
            reply = await client.post(self._receiver.url, json=body, headers=headers)
        except httpx.HTTPError as error:
            return Outcome("KO", f"no reply: {type(error).__name__}"), None
        if reply.status_code in (200, 204):
            return Outcome("OK"), None
        message, code, wait = _said(reply)
        return Outcome("KO", message or f"status {reply.status_code}", code), wait


def _said(reply: httpx.Response) -> tuple[str, str, float | None]:
    """`message`, `code` and `retry_in` of a JSON reply, as far as they are there."""
    try:
        members = reply.json()
    except (ValueError, RecursionError):
        return "", "", None
    if not isinstance(members, dict):
        return "", "", None
    wait = members.get("retry_in")
    if isinstance(wait, bool) or not isinstance(wait, int | float) or not 0 <= wait <= _IN_ALL:
        wait = None  # as if nothing was said
    return str(members.get("message") or ""), str(members.get("code") or ""), wait

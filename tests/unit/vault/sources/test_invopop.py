"""Keys that Invopop issues: which replies are taken, and what becomes of all others."""

import asyncio
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.errors import GatewayError, UpstreamError
from gateway.model import Headers
from gateway.secret import Secret
from gateway.settings.key_sources import KeySource
from gateway.vault.sources import application
from gateway.vault.sources.application import ApplicationCalls, EvenRate, Pause
from gateway.vault.sources.invopop import InvopopSource
from gateway.vault.sources.registry import open_sources
from gateway.vault.sources.source import Connections, KeyRead, ReadFailure, SourceError
from tests.support.issuing_origin import CLIENT_ID, OTHER, OWNER, SECRET, Issuer
from tests.support.vaults import key_source, vault_settings

BY_OWNER = key_source(invopop=OWNER.upper())
BY_ENROLLMENT = key_source(invopop_enrollment="e-0")


class Called:
    """A source at an issuer. `secret` is what the file with the application's secret holds."""

    def __init__(self, issuer: Issuer, **settings: Any) -> None:
        self.issuer = issuer
        self.secret: str | SourceError = SECRET
        self.reads = 0
        self.error: Exception | None = None
        self.headers: Headers = []
        table = {"client_id": CLIENT_ID, "client_secret": {"env": "S"}, **settings}
        self.connections = Connections(
            vault_settings(invopop=table).vault, {}, authorize=self.authorize, fetch=self.fetch
        )
        self.source = InvopopSource(self.connections)

    async def authorize(self, body: bytes) -> tuple[int, Headers, bytes]:
        """As Invopop answers."""
        if self.error is not None:
            self.issuer.asked.append(json.loads(body))
            raise self.error
        status, answer = self.issuer.authorize(body)
        return status, self.headers, answer

    async def fetch(self, source: KeySource) -> Secret:
        """The application's secret, as it is now."""
        self.reads += 1
        if isinstance(self.secret, SourceError):
            raise self.secret
        return Secret(self.secret)

    async def lease(self, source: KeySource = BY_OWNER) -> KeyRead:
        """A key."""
        return await self.source.lease(source)

    async def failure(self, source: KeySource = BY_OWNER) -> SourceError:
        """Why there is none."""
        with pytest.raises(SourceError) as caught:
            await self.source.lease(source)
        return caught.value


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its first member is the time of pauses; they are as long as they can be."""
    now = [1000.0]
    # Not the module's own `monotonic`: the event loop looks at that one.
    monkeypatch.setattr(application, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(application.random, "uniform", lambda _, high: high)  # type: ignore[attr-defined]
    return now


@pytest.fixture
def called(request: pytest.FixtureRequest) -> Called:
    """An issuer with one enrollment, and a clock of its own if the test has one."""
    if "clock" in request.fixturenames:
        request.getfixturevalue("clock")
    return Called(Issuer(OWNER))


async def test_a_key_of_the_owner_asked_for(called: Called) -> None:
    """By the owner's id, in whatever letter case it is configured, or by the enrollment's."""
    for source in (BY_OWNER, BY_ENROLLMENT):
        lease = await called.lease(source)
        assert lease.secret.reveal() == called.issuer.issued[OWNER][-1]
        assert lease.workspace == OWNER
        assert lease.expires_at is not None
        assert 3598 < lease.expires_at - time.time() <= 3600
    credentials = {"client_id": CLIENT_ID, "client_secret": SECRET}
    assert called.issuer.asked == [
        {**credentials, "owner_id": OWNER},
        {**credentials, "id": "e-0"},
    ]
    called.issuer.change = {"owner_id": OWNER.upper()}
    assert (await called.lease()).secret.reveal() == called.issuer.issued[OWNER][-1]


FUTURE = 4_000_000_000
REPLIES: list[tuple[dict[str, Any], ReadFailure, str]] = [
    ({"owner_id": OTHER}, "malformed", "another owner_id"),
    ({"owner_id": ""}, "malformed", "another owner_id"),
    ({"owner_id": None}, "malformed", "another owner_id"),
    ({"owner_id": [OWNER]}, "malformed", "another owner_id"),
    ({"disabled": True}, "disabled", "the enrollment is disabled"),
    ({"disabled": None}, "disabled", "the enrollment is disabled"),
    ({"disabled": "false"}, "disabled", "the enrollment is disabled"),
    ({"disabled": 0}, "disabled", "the enrollment is disabled"),
    ({"token": ""}, "malformed", "no token"),
    ({"token": None}, "malformed", "no token"),
    ({"token": ["x"]}, "malformed", "no token"),
    ({"token_expires": None}, "malformed", "clock"),
    ({"token_expires": 0}, "malformed", "clock"),
    ({"token_expires": True}, "malformed", "clock"),
    ({"token_expires": -1}, "malformed", "clock"),
    ({"token_expires": 1_680_000_000}, "malformed", "clock"),  # long ago
    ({"token_expires": FUTURE * 1000}, "malformed", "clock"),  # milliseconds
    ({"token_expires": str(FUTURE)}, "malformed", "clock"),
]


@pytest.mark.parametrize(("change", "outcome", "reason"), REPLIES)
async def test_a_reply_that_is_not_taken(
    called: Called, change: dict[str, Any], outcome: ReadFailure, reason: str
) -> None:
    """Of another, disabled, without a key or without an end: it says which, and quotes nothing."""
    called.issuer.change = change
    error = await called.failure()
    assert (error.outcome, error.reported) == (outcome, False)
    assert reason in error.reason
    assert "sentinel" not in str(error)
    called.issuer.change = {"disabled": False, "token_expires": float(FUTURE)}
    assert (await called.lease()).expires_at == FUTURE  # the next one is asked for at once


async def test_of_another_enrollment(called: Called) -> None:
    """What was asked for by the enrollment's id must be of that enrollment."""
    called.issuer.change = {"id": "e-1"}
    assert "another id" in (await called.failure(BY_ENROLLMENT)).reason


@pytest.mark.parametrize(
    ("source", "status", "outcome"),
    [
        (key_source(invopop=OTHER), 404, "not_found"),
        (BY_ENROLLMENT, 404, "not_found"),
        (key_source(invopop="no-uuid"), 400, "not_found"),  # no name that Invopop could know
        (key_source(invopop="no-uuid"), 422, "not_found"),
        (key_source(invopop=OTHER), 400, "malformed"),
        (key_source(invopop=OTHER), 409, "malformed"),
        (key_source(invopop=OTHER), 401, "denied"),
        (key_source(invopop=OTHER), 403, "denied"),
        (key_source(invopop=OTHER), 500, "unavailable"),
        (key_source(invopop=OTHER), 302, "unavailable"),
        (key_source(invopop=OTHER), 204, "unavailable"),
    ],
)
async def test_statuses(called: Called, source: KeySource, status: int, outcome: str) -> None:
    """404 says that there is none; what a body says is not looked at."""
    called.issuer.answer = (status, b"sentinel")
    error = await called.failure(source)
    assert error.outcome == outcome
    assert "sentinel" not in str(error)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b"{"])
async def test_a_reply_that_is_no_enrollment(called: Called, body: bytes) -> None:
    """It is somebody else's, such as a proxy's: Invopop is away."""
    called.issuer.answer = (200, body)
    assert (await called.failure()).outcome == "unavailable"


async def test_the_secret_is_read_once_and_again_when_refused(called: Called) -> None:
    """A rotated secret is in use with the first refusal, in the same call, and after a reload."""
    await called.lease()
    await called.lease()
    assert called.reads == 1
    called.issuer.secret = called.secret = "sentinel-client-secret-000000000000000002"
    await called.lease()
    assert (called.reads, len(called.issuer.asked)) == (2, 4)
    called.source.reloaded()
    await called.lease()
    assert called.reads == 3


async def test_a_wrong_secret_is_named_once_and_tried_ever_more_seldom(
    called: Called, clock: list[float]
) -> None:
    """It is nobody's key that is wrong: while it is, one call at a time finds out."""
    called.issuer.secret = "another"
    first = await called.failure()
    assert (first.outcome, first.reported) == ("denied", False)
    assert "check client_id and client_secret of [vault.invopop]" in first.reason
    assert not (await called.failure(BY_ENROLLMENT)).reported
    calls = len(called.issuer.asked)
    for _ in range(100):
        again = await called.failure()
        assert (again.outcome, again.reason, again.reported) == ("denied", first.reason, True)
        assert again.retry_after <= 0.5
    assert len(called.issuer.asked) == calls
    for _ in range(12):
        clock[0] += 60.0
        assert not (await called.failure()).reported
        assert (await called.failure()).reported
    assert (await called.failure()).retry_after == 60.0
    assert len(called.issuer.asked) == calls + 12
    called.issuer.secret = SECRET
    called.source.reloaded()  # somebody has fixed it
    assert (await called.lease()).workspace == OWNER


async def test_one_tenants_trouble_holds_up_no_other(called: Called) -> None:
    """Failures of one enrollment, however many, cause no pause for the rest."""
    for status in (403, 500, 404, 409):
        called.issuer.answer = (status, b"")
        for _ in range(5):
            assert not (await called.failure(key_source(invopop=OTHER))).reported
        called.issuer.answer = None
        await called.lease()


@pytest.mark.parametrize(
    "error",
    [
        UpstreamError("upstream_unreachable", "connect_refused", sent=False),
        GatewayError("overloaded"),
        SourceError("denied", "the store refuses"),
    ],
)
async def test_what_no_tenant_can_have_caused(
    called: Called, clock: list[float], error: Exception
) -> None:
    """No connection, or no secret: nobody asks for half a second, then one does."""
    if isinstance(error, SourceError):
        called.secret = error
    else:
        called.error = error
    first = await called.failure()
    assert (first.outcome, first.retry_after) == ("unavailable", 0.5)
    assert (await called.failure(BY_ENROLLMENT)).reported
    clock[0] += 0.5
    assert not (await called.failure()).reported
    assert (await called.failure()).retry_after == 1.0
    clock[0] += 1.0
    called.error, called.secret = None, SECRET
    await called.lease()
    await called.lease(BY_ENROLLMENT)


async def test_a_call_that_hangs_is_given_up(
    called: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the time that a read may take, so that it counts as a failure."""
    monkeypatch.setattr(application, "TIMEOUT", 0.01)
    asked = asyncio.Event()

    async def hang(body: bytes) -> tuple[int, Headers, bytes]:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    connections = called.connections._replace(authorize=hang)
    with pytest.raises(SourceError, match="not answered in time"):
        await InvopopSource(connections).lease(BY_OWNER)
    assert asked.is_set()


async def test_retry_after_is_followed(called: Called, clock: list[float]) -> None:
    """A 429 pauses all calls, for as long as it asks, a minute at most."""
    called.issuer.answer, called.headers = (429, b""), [(b"retry-after", b"7")]
    assert (await called.failure()).retry_after == 7.0
    clock[0] += 7.0
    called.headers = [(b"retry-after", b"86400")]
    assert (await called.failure()).retry_after == 60.0
    clock[0] += 60.0
    called.headers = [(b"retry-after", b"Wed, 21 Oct 2026 07:28:00 GMT")]
    assert (await called.failure()).retry_after == 2.0


async def test_whoever_waits_for_the_end_of_a_pause(called: Called) -> None:
    """`ready` returns at once without one, at its end, and when something has changed."""
    await called.source.ready()
    called.secret = SourceError("not_found", "there is no file")
    await called.failure()
    async with asyncio.timeout(5):
        await called.source.ready()
    await called.failure()
    waiting = asyncio.create_task(called.source.ready())
    await asyncio.sleep(0)
    called.source.reloaded()
    async with asyncio.timeout(5):
        await waiting


async def test_the_first_success_ends_the_pause_for_all(called: Called, clock: list[float]) -> None:
    """Whoever waits goes on once the one call that was let through is answered, not later."""
    answered = asyncio.Event()

    async def authorize(body: bytes) -> tuple[int, Headers, bytes]:
        if called.issuer.answer is None:
            await answered.wait()
        return await called.authorize(body)

    source = InvopopSource(called.connections._replace(authorize=authorize))
    called.issuer.answer, called.headers = (429, b""), [(b"retry-after", b"60")]
    with pytest.raises(SourceError):
        await source.lease(BY_OWNER)
    clock[0] += 60.0
    called.issuer.answer = None
    let_through = asyncio.create_task(source.lease(BY_OWNER))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(source.ready())
    await asyncio.sleep(0)
    assert not waiting.done()
    answered.set()
    async with asyncio.timeout(5):  # the pause itself is a minute
        await waiting
    await let_through


def test_a_pause_lets_one_call_through() -> None:
    """Once it is over one may try; the others wait for what comes of that."""
    now = [0.0]
    pause = Pause(lambda: now[0])
    pause.check()
    pause.failed("a", SourceError("unavailable", "x"), certain=True)
    now[0] = 1.0
    pause.check()
    with pytest.raises(SourceError):
        pause.check()
    pause.succeeded()
    pause.check()
    pause.check()


@pytest.mark.parametrize(("rate", "least"), [(0.0, 0.0), (100.0, 0.02)])
async def test_the_rate(rate: float, least: float) -> None:
    """Calls are spread evenly over each second; with 0 there is no limit."""
    pace, loop = EvenRate(rate), asyncio.get_running_loop()
    began = loop.time()
    for _ in range(3):
        await pace.turn(hurries=True)
    assert loop.time() - began >= least - 0.002  # a step of the loop's clock


async def test_look_ups_and_renewals_take_turns() -> None:
    """However many of either wait, and in whatever order they came."""
    pace, order = EvenRate(1000.0), list[str]()

    async def call(name: str, *, hurries: bool) -> None:
        await pace.turn(hurries=hurries)
        order.append(name)

    await pace.turn(hurries=True)
    renewals = [call(f"renewal {n}", hurries=False) for n in range(4)]
    gone = asyncio.ensure_future(pace.turn(hurries=True))
    waiting = asyncio.gather(*renewals, *(call(f"look-up {n}", hurries=True) for n in range(2)))
    await asyncio.sleep(0)
    gone.cancel()
    await waiting
    expected = ["look-up 0", "renewal 0", "look-up 1", "renewal 1", "renewal 2", "renewal 3"]
    assert sorted(order[:4]) == sorted(expected[:4])
    assert order[4:] == expected[4:]


async def test_both_kinds_are_one_application(called: Called) -> None:
    """So they share rate, pause and secret; without a table there is none."""
    kinds = ("invopop", "invopop_enrollment")
    opened, errors = open_sources(kinds, called.connections, {})
    assert opened["invopop"] is opened["invopop_enrollment"]
    assert errors == {}
    kept, _ = open_sources(kinds, called.connections, {"invopop": opened["invopop"]})
    assert set(map(id, kept.values())) == {id(opened["invopop"])}
    without = Connections(vault_settings().vault, {})
    _, errors = open_sources(kinds, without, {})
    assert [error.reason for error in errors.values()] == [
        "invopop: add a [vault.invopop] table that names the application"
    ] * 2


async def test_where_nothing_can_be_asked(called: Called) -> None:
    """It says so."""
    settings = called.connections.settings.invopop
    assert settings is not None
    for without in (
        called.connections._replace(authorize=None),
        called.connections._replace(fetch=None),
    ):
        with pytest.raises(SourceError, match="here"):
            await ApplicationCalls(settings, without).authorize({"id": "x"})

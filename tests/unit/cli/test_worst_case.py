"""The sum that `check` prints: made of the settings, and of the bounds that the code really has."""

import gc
import re
import time
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import pytest

from gateway import inbound_body
from gateway.admin import scrape
from gateway.cli import worst_case as bounds
from gateway.cli.worst_case import worst_case
from gateway.events import Events, ExchangeEnded, KeyRejected
from gateway.identity import verifier
from gateway.model import Caller, Exchange
from gateway.observe import audit_file, otlp, writer
from gateway.observe.metrics import PrometheusMetrics
from gateway.policy import rates
from gateway.server import connection, cycle, listener, reply
from gateway.settings.load import Loaded
from gateway.settings.schema import Settings
from gateway.settings.vault_file import Discover, VaultFile
from gateway.trace import Trace, TraceContext
from gateway.upstream import reply_parser, reply_stream, wire
from gateway.vault import discovery
from gateway.vault.sources.source import NOT_FOUND
from tests.support.exchanges import exchange_of
from tests.support.vaults import FakeStore, opened_by, vault_file, vault_of
from tests.support.vaults import loaded as loaded_vault

OPEN_FILES = 1024
ISSUER = {"issuer": "https://i", "audience": "a", "algorithms": ["RS256"], "jwks_file": "/k"}


def loaded(file: VaultFile | None = None, **sections: Any) -> Loaded:
    """The default settings with these changes."""
    settings = Settings.model_validate(sections)
    return Loaded(settings, file or VaultFile(), Path("g"), Path("v"), ())


def table(file: VaultFile | None = None, **sections: Any) -> dict[str, int]:
    """The table for the default settings with these changes."""
    return dict(worst_case(loaded(file, **sections), OPEN_FILES))


def test_bounds_are_those_of_the_code() -> None:
    """A buffer that is made larger makes the sum larger."""
    assert connection.HIGH_WATER == bounds.UNREAD == bounds.UNSENT
    assert listener.READ_BLOCK == wire.READ_BLOCK == bounds.READ_BLOCK
    assert cycle.PIECE == bounds.PIECE
    assert inbound_body.REPLAY_LIMIT == bounds.REPLAY
    assert reply_stream.HIGH_WATER == bounds.REPLY_BUFFER
    assert wire.HIGH_WATER == bounds.UPSTREAM_UNSENT
    assert reply_parser.MAX_HEAD == bounds.REPLY_HEAD
    assert reply.HELD == bounds.HELD
    assert scrape.MOST_BODIES == bounds.BODIES
    assert verifier.MOST_REMEMBERED_TOKENS == bounds.VERDICTS
    assert 2 * rates.MAX_BUCKETS == bounds.BUCKETS
    assert discovery.MAX_ABSENT * 512 == bounds.ABSENT
    assert 2 * writer.LIMIT == bounds.LOG
    assert 2 * audit_file.LIMIT == bounds.AUDIT
    assert otlp.QUEUE == bounds.TRACES


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        ({"limits": {"max_header_bytes": 65536}}, "callers' connections"),
        ({"limits": {"max_headers": 1000}}, "callers' connections"),
        ({"limits": {"max_in_flight": 4096}}, "requests in flight"),
        ({"upstream": {"max_connections": 512}}, "exchanges with Invopop and file hosts"),
        ({"upstream": {"max_connections": 512}}, "connections to Invopop and file hosts"),
        ({"admin": {"max_connections": 64}}, "admin connections"),
        ({"issuers": [ISSUER]}, "remembered tokens"),
        ({"limits": {"requests_per_second": 5}}, "rate limits"),
        ({"metrics": {"max_series": 40000}}, "metrics"),
        ({"audit": {"file": "audit.jsonl"}}, "log lines not written yet"),
        ({"tracing": {"endpoint": "http://localhost:4318"}}, "traces not exported yet"),
    ],
)
def test_settings_count(changes: dict[str, Any], row: str) -> None:
    """Whoever allows more sees more."""
    assert table(**changes)[row] > table()[row]


def test_tenants_that_may_be_discovered_count() -> None:
    """Callers can name all that the store holds, up to the setting."""
    key = {"openbao": "secret/{tenant}", "field": "k"}
    vault = VaultFile.model_validate({"discover": {"key": key}})
    some = table(vault, vault={"max_discovered": 1000})["discovered tenants"]
    more = table(vault, vault={"max_discovered": 2000})["discovered tenants"]
    assert more - some == 1000 * bounds.FOUND
    assert table()["discovered tenants"] == 0


def test_every_connection_counts() -> None:
    """Without a setting of their own, connections are bounded by the process's open files."""
    unlimited = loaded(listen={"max_connections": 0})
    more = dict(worst_case(unlimited, 2 * OPEN_FILES))["callers' connections"]
    assert more == 2 * dict(worst_case(unlimited, OPEN_FILES))["callers' connections"]
    few = dict(worst_case(loaded(listen={"max_connections": 100}), OPEN_FILES))
    assert few["callers' connections"] * 2 * OPEN_FILES == more * 100


def test_defaults_fit_a_small_machine() -> None:
    """The defaults and the program hold under 1.6 GiB even if every bound is met at once."""
    assert sum(dict(worst_case(loaded(), 65536)).values()) + bounds.PROGRAM < 1.6 * 2**30


def test_bodies_do_not_count() -> None:
    """Bodies stream: how large they may be costs nothing."""
    assert table(limits={"max_body": 0}) == table()


def test_what_a_way_of_listening_costs() -> None:
    """TLS takes buffers for each connection; over a Unix socket short replies are held whole."""
    plain = table()
    tls = table(listen={"tls_certificate": "/c", "tls_key": "/k"})
    local = table(listen={"socket": "/s"})
    more = tls["callers' connections"] - plain["callers' connections"]
    assert more == OPEN_FILES * bounds.CALLER_TLS
    more = local["requests in flight"] - plain["requests in flight"]
    assert more == Settings().limits.max_in_flight * bounds.HELD


def grown(make: Callable[[], object]) -> int:
    """How many bytes stay allocated with what was made."""
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    made = make()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    del made
    return after - before


@pytest.fixture
def traced() -> Iterable[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


COUNT = 2000
STEPS = ("authenticate", "authorize", "key")
TENANT = "tenant-with-quite-a-long-name-such-as-nobody-uses-"


@pytest.mark.usefixtures("traced")
def test_what_a_remembered_token_takes() -> None:
    """Its digest, its caller with the names of caller and tenant, and its place in the table."""

    def fill() -> verifier.TokenCache:
        cache = verifier.TokenCache()
        for number in range(COUNT):
            name = f"{number:08d}"
            caller = Caller(f"caller-{name}", "jwt", f"{TENANT}{name}", tenant_free=False)
            token = verifier.VerifiedToken(
                caller, time.time() + number, cast("Any", None), cast("Any", None)
            )
            cache.keep(number.to_bytes(32, "big"), token)
        return cache

    assert bounds.VERDICT / 3 < grown(fill) / COUNT < bounds.VERDICT


@pytest.mark.usefixtures("traced")
def test_what_a_rate_limit_in_use_takes() -> None:
    """A name and a time."""

    def fill() -> rates.TokenBuckets:
        buckets, rate = rates.TokenBuckets(), rates.Rate(0.001, 1)
        for number in range(COUNT):
            buckets.take(f"{TENANT}{number}", rate, 1000.0)
        return buckets

    assert bounds.BUCKET / 3 < grown(fill) / COUNT < bounds.BUCKET


@pytest.mark.usefixtures("traced")
def test_what_a_trace_takes() -> None:
    """An exchange with every step, and three attempts, whose names are all its own."""

    def one(number: int) -> Exchange:
        trace = Trace(recorded=True)
        trace.join(TraceContext(f"{number:032x}", f"{number:016x}", "01"))
        name = f"{TENANT}{number}"
        x = exchange_of(0.0, f"{number:0128}", tenant=name, caller=name)
        x.peer = f"2001:db8::{number:x}"
        x.trace, x.trace_id, x.seconds, x.waited_seconds = trace, trace.trace_id, 0.1, 0.2
        for step in STEPS:
            x.step(step)
        for attempt in range(3):
            trace.attempt((b"localhost", 443)).end("connect_refused" * (attempt < 2))
        return x

    assert bounds.TRACE / 3 < grown(lambda: [one(n) for n in range(COUNT)]) / COUNT < bounds.TRACE


@pytest.mark.usefixtures("traced")
def test_what_a_name_that_is_not_found_takes() -> None:
    """The longest names, all of them absent."""
    file = vault_file(discover={"key": {"aws": "invopop/{tenant}"}})
    assert isinstance(file.discover, Discover)
    looked = discovery.Discovery(file.discover)

    def fill() -> None:
        for number in range(COUNT):
            looked.missed(f"{number:0128}", NOT_FOUND, time.monotonic() + number)

    assert bounds.ABSENT / discovery.MAX_ABSENT / 3 < grown(fill) / COUNT < 512


@pytest.mark.usefixtures("traced")
async def test_what_a_discovered_tenant_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ring, its slot, its key and what is known of them."""
    store = FakeStore({f"invopop/{number:0120}": f"key-{number:080}" for number in range(COUNT)})
    opened_by(monkeypatch, "aws", lambda _: store)
    vault = await loaded_vault(vault_of(vault_file(discover={"key": {"aws": "invopop/{tenant}"}})))
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(COUNT):
        await vault.read(f"{number:0120}", "billing")
    store.reads.clear()  # not the vault's
    gc.collect()
    took = tracemalloc.get_traced_memory()[0] - before
    await vault.aclose()
    assert bounds.FOUND / 3 < took / COUNT < bounds.FOUND


@pytest.mark.usefixtures("traced")
def test_what_metrics_take() -> None:
    """In every family that tenants can fill; while they are rendered; and as a scrape's body."""
    metrics = PrometheusMetrics(COUNT)

    def fill() -> None:
        events = Events()
        metrics.subscribe(events)
        for number in range(COUNT):
            tenant = f"{TENANT}{number}"
            x = exchange_of(0.0, "r", tenant=tenant, caller=tenant, route="/silo/v1/entries/{id}")
            x.method, x.status, x.error, x.would_deny = "GET", 200, "", True
            events.emit(ExchangeEnded(x))
            events.emit(KeyRejected(tenant, "key", "0123456789ab"))

    stored = grown(fill)
    assert bounds.SERIES / 3 < stored / COUNT < bounds.SERIES + bounds.ROUTES / COUNT
    expiring = [(f"{TENANT}{number}", "key", 1e9) for number in range(COUNT)]
    metrics.watch_expiries(lambda: expiring)
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    body, _ = metrics.exposition("")
    peak = tracemalloc.get_traced_memory()[1] - before
    assert bounds.RENDERING / 3 < peak / COUNT < bounds.RENDERING
    assert bounds.EXPOSED / 3 < len(body) / COUNT < bounds.EXPOSED


DEPLOY = Path(__file__).parents[3] / "deploy"


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("systemd/invopop-gateway@.service", r"(?m)^MemoryMax=(\d+)G$"),
        ("compose.yaml", r"(?m)^ +mem_limit: (\d+)g\b"),
    ],
)
def test_defaults_fit_the_memory_that_deploy_gives(file: str, pattern: str) -> None:
    """Where the configuration leaves the limits as they are, the memory limit allows for them."""
    limit = re.search(pattern, (DEPLOY / file).read_text())
    assert limit is not None
    worst = sum(dict(worst_case(loaded(issuers=[ISSUER]), 65536)).values()) + bounds.PROGRAM
    assert worst < int(limit[1]) * 2**30


def test_the_stated_figures_are_true() -> None:
    """sizing.md states what the defaults, and each part, come to."""
    text = (DEPLOY / "sizing.md").read_text().replace("\n", " ")
    single: Any = {"max_connections": 1}
    upstream = single | {"file_hosts": []}
    made = loaded(listen=single, upstream=upstream, admin=single, limits={"max_in_flight": 1})
    one = dict(worst_case(made, 1))
    total = sum(dict(worst_case(loaded(), 65536)).values())
    assert f"| {total // bounds.MIB:,} MiB | 2 GiB |" in text
    kib = {name: size // bounds.KIB for name, size in one.items()}
    connection = kib["callers' connections"]
    assert f"connection counts for {connection} KiB, or {connection + 320} KiB with TLS" in text
    assert f"a request in flight for {kib['requests in flight']} KiB" in text
    assert (
        f"an exchange with Invopop for {kib['exchanges with Invopop and file hosts']} KiB" in text
    )
    assert f"a pooled connection for {kib['connections to Invopop and file hosts']} KiB" in text

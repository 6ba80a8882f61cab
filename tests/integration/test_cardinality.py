"""A cardinality attack: whatever callers invent, the number of metric series stays where it is."""

import random
import re
import socket
import string
import threading
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO
from uuid import UUID

import pytest

from gateway.invopop.table import OPERATIONS, UUID_PARAMETERS
from gateway.observe.families import SECONDS
from tests.support.gateway import token_hash
from tests.support.world import World, request, series

TOKEN = "igw_sentinel-token-of-anyone-000000000000"
ACME = "X-Invopop-Tenant: acme"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# What one route and method have: two histograms, with their buckets, `+Inf`, sum and count.
OF_A_ROUTE = 2 * (len(SECONDS) + 3)


@pytest.fixture(scope="module")
def open_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with a caller that may name any tenant, and whose refusals are only counted."""
    anyone = {"tokens": [token_hash(TOKEN)], "issuers": [], "tenants": ["*"],
              "allow": ["utils.ping"], "enforce": False}  # fmt: skip
    directory, changes = tmp_path_factory.mktemp("open"), {"callers": {"anyone": anyone}}
    # Without Python's development mode, which doubles what a request costs.
    with World(directory, changes, environ={"PYTHONDEVMODE": ""}) as world:
        yield world


def invented(rng: random.Random, alphabet: str = string.ascii_lowercase + string.digits) -> str:
    """A word that nobody has configured."""
    return "".join(rng.choices(alphabet, k=12))


def attack(rng: random.Random, times: int) -> Iterator[tuple[int, list[bytes]]]:
    """So many invented tokens, methods, tenants and paths, with the status that answers them."""

    def path() -> str:
        return "/".join(("", invented(rng), invented(rng) + "?" + invented(rng)))

    def tenant() -> str:
        return f"X-Invopop-Tenant: {invented(rng)}"

    def method() -> str:
        return invented(rng, string.ascii_uppercase)

    often = range(times)
    yield 401, [request(f"GET {path()}", tenant(), token=invented(rng)) for _ in often]
    yield 405, [request(f"{method()} {path()}", tenant(), token=TOKEN) for _ in often]
    yield 403, [request(f"GET {path()}", tenant(), token=TOKEN) for _ in often]
    yield 200, [request(f"POST {path()}", ACME, token=TOKEN) for _ in range(times // 10)]


def value(rng: random.Random, parameter: str) -> str:
    """What such a parameter may hold."""
    known = parameter in UUID_PARAMETERS
    return str(UUID(int=rng.getrandbits(128))) if known else invented(rng)


def every_operation(rng: random.Random) -> list[bytes]:
    """Each path template, its parameters invented, with each method, lawful there or not."""
    templates = sorted({operation.template for operation in OPERATIONS})
    paths = [re.sub(r"\{(\w+)\}", lambda found: value(rng, found[1]), t) for t in templates]
    return [request(f"{method} {p}", ACME, token=TOKEN) for p in paths for method in METHODS]


def statuses(port: int, requests: list[bytes]) -> Counter[int]:
    """Sends them all on one connection; how often each status came back."""
    found: Counter[int] = Counter()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        raw = b"".join(requests)
        sender = threading.Thread(target=connection.sendall, args=(raw,), daemon=True)
        sender.start()
        with connection.makefile("rb") as replies:
            for sent in requests:
                status, length = _head(replies)
                found[status] += 1
                replies.read(0 if sent.startswith(b"HEAD ") else length)
        sender.join()
    return found


def _head(replies: BinaryIO) -> tuple[int, int]:
    """A reply's status and the length of its body."""
    status, length = int(replies.readline().split()[1]), 0
    while (line := replies.readline().lower()) != b"\r\n":
        if line.startswith(b"content-length:"):
            length = int(line[15:])
    return status, length


def test_an_attack_adds_85_series(open_world: World) -> None:
    """10,000 invented tokens, methods, tenants each, all with invented paths, add 85; more, none.

    One of `requests_total` for each of the four answers, one of `would_deny_total`, and the two
    histograms of the route `other`, once for all invented methods and once for POST.
    """
    gateway = open_world.gateway
    told = []
    for seed, times in enumerate((10_000, 100)):
        before = series(gateway.metrics_text())
        for status, requests in attack(random.Random(seed), times):
            assert statuses(gateway.port, requests) == {status: len(requests)}
        told.append(series(gateway.metrics_text()) - before)
    assert told == [4 + 1 + 2 * OF_A_ROUTE, 0] == [85, 0]


def test_every_operation_has_its_series_once(open_world: World) -> None:
    """All but what gives credentials: at most 42 a route and method, whatever the ids are."""
    gateway = open_world.gateway
    before = series(gateway.metrics_text())
    known = {(operation.method, operation.template) for operation in OPERATIONS}
    known |= {("HEAD", template) for method, template in known if method == "GET"}
    known |= {(method, "other") for method in METHODS}
    assert statuses(gateway.port, every_operation(random.Random(1))).keys() == {200, 403}
    first = series(gateway.metrics_text())
    assert first - before <= len(known) * (OF_A_ROUTE + 2)
    statuses(gateway.port, every_operation(random.Random(2)))
    assert series(gateway.metrics_text()) == first

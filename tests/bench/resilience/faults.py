"""The faults that an origin may play, and what a request of each method comes to: one table.

`python -m tests.bench.resilience.faults` writes tests/integration/resilience/faults.md anew.
"""

import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench.resilience.fault_scenarios import READ_TIMEOUT, Fault, all_faults
from tests.support.caller import Reply
from tests.support.gateway import token_hash
from tests.support.world import TOK_A, VAULT, World, request

METHODS: Final = ("GET", "PUT", "POST")
TABLE: Final = Path(__file__).parents[2] / "integration" / "resilience" / "faults.md"
_SETTLING: Final = 60  # requests; a fifth of them, more than one fault's retries
TOKEN: Final = "igw_token-of-a-caller-whose-tenants-turn-000"
_PREFACE: Final = """\
# Faults

What happens to a request, and how many attempts it takes, for each thing that the origin can do
wrong. The origin does it in the first attempt, or in every attempt where the row says so. A status
with a `key` is the gateway's own answer, a bare status is the origin's, and *cut* means that the
connection is closed in the middle, so that the body never looks whole. HEAD and OPTIONS behave like
GET, DELETE like PUT, and PATCH like POST. `upstream.max_retries` is 2, its default.

Written by `python -m tests.bench.resilience.faults`; `test_faults_table.py` checks each row.

"""


class Cell(NamedTuple):
    """What one request came to, in how many attempts, and how often it came whole to the origin."""

    outcome: str
    attempts: int
    arrived: int


def started(directory: Path) -> World:
    """The gateway that meets them: with short timeouts, and no circuit breaker in the way."""
    caller = {"tokens": [token_hash(TOKEN)], "issuers": [], "tenants": ["turning-*"]}
    upstream = {"connect_timeout": 0.8, "read_timeout": READ_TIMEOUT}
    turning = {"key": {"env": "TEST_KEY_A"}, "previous": {"env": "TEST_KEY_B"}}
    tenants = VAULT["tenants"] | {f"turning-{method}": turning for method in METHODS}
    changes = {"upstream": upstream, "callers": {"turning": caller}}
    return World(directory, changes, {"tenants": tenants})


def cell(world: World, fault: Fault, method: str) -> Cell:
    """Plays one fault to one request."""
    world.origin.forget()
    if fault.warm:
        assert world.get("/warm").status == 200
        world.origin.requests = []
    body = b"abc" if method in {"PUT", "POST"} else b""
    length = [f"Content-Length: {len(body)}"] if body else []
    token = TOKEN if fault.two_keys else TOK_A
    tenant = [f"X-Invopop-Tenant: turning-{method}"] if fault.two_keys else []
    raw = request(f"{method} /x", *tenant, *length, body=body, token=token)
    with fault.play(world) as meanwhile:
        connection = world.connect()
        connection.send(raw)
        if meanwhile is not None:
            meanwhile(connection)
        reply = connection.reply(method, 15)
        connection.close()
    attempts = int(reply.get("x-gateway-attempts") or 1)
    arrived = sum(seen.complete for seen in world.origin.requests)
    return Cell(_outcome(reply), attempts, arrived)


def row(fault: Fault, cells: list[Cell]) -> str:
    """One line of the table."""
    return " | ".join([f"| {fault.name}", *(f"{c.outcome} | {c.attempts}" for c in cells)]) + " |"


def heading() -> list[str]:
    """The table's first lines."""
    columns = " | ".join(f"{method} | attempts" for method in METHODS)
    return [f"| the origin | {columns} |", "| --- |" + " --- | ---: |" * len(METHODS)]


def settle_budget(world: World, fault: Fault) -> None:
    """Traffic that goes well, so that the retries to be played are a small enough share of it."""
    world.origin.forget()
    if not fault.retried:
        return
    connection = world.connect()
    connection.send(request("GET /x") * _SETTLING)
    for _ in range(_SETTLING):
        assert connection.reply().status == 200
    connection.close()


def _outcome(reply: Reply) -> str:
    error = reply.get("x-gateway-error")
    told = f"{reply.status} `{error}`" if error else str(reply.status)
    return told if reply.complete else f"{told}, then cut"


def main() -> int:
    """Plays everything, and writes the table."""
    lines = heading()
    with tempfile.TemporaryDirectory() as directory, started(Path(directory)) as world:
        for fault in all_faults():
            settle_budget(world, fault)
            lines.append(row(fault, [cell(world, fault, method) for method in METHODS]))
            sys.stdout.write(lines[-1] + "\n")
    TABLE.write_text(_PREFACE + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

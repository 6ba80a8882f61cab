"""Many instead of one: 10,000 tenants and callers, and two processes on one port."""

from contextlib import ExitStack
from statistics import median
from typing import NamedTuple

from gateway.identity.tokens import hash_token
from tests.bench.environment import TOKEN, Stage
from tests.bench.load import Load, Sample, measure, measure_group
from tests.bench.machine import free_port
from tests.bench.requests import write_script
from tests.bench.rivals import Rival, start_gateway, write_vault


class Crowd(NamedTuple):
    """CPU microseconds per request with one tenant and with many; resident bytes per tenant.

    `idle` is before the first request, `met` once each tenant has been asked for.
    """

    cpu_of_one: float
    cpu_of_many: float
    idle: float
    met: float


class Pair(NamedTuple):
    """CPU microseconds per request, and requests per second, of one process and of two."""

    cpu_of_one: float
    cpu_of_two: float
    rate_of_one: float
    rate_of_two: float


def measure_crowd(stage: Stage, tenants: int, load: Load, rounds: int) -> Crowd:
    """One gateway with one tenant and one with `tenants`, each with a caller of its own."""
    with ExitStack() as stack:
        one, port = start_gateway(stage, "gateway-one")
        stack.callback(one.stop)
        tokens = {f"tenant-{n:05}": f"igw_bench-token-of-tenant-{n:05}" for n in range(tenants)}
        write_vault(
            stage.folder / "vault-gateway-many.toml",
            {"acme": "key-of-acme", **{name: f"key-of-{name}" for name in tokens}},
        )
        callers = "\n".join(
            f'[callers.{name}]\ntokens = ["{hash_token(token)}"]\ntenants = ["{name}"]\n'
            for name, token in tokens.items()
        )
        many, many_port = start_gateway(stage, "gateway-many", more=callers)
        stack.callback(many.stop)
        idle = many.usage().resident - one.usage().resident
        script = write_script(stage.folder / "crowd.lua", list(tokens.values()))
        first = Rival("gateway, one tenant", one, port, TOKEN)
        crowd = Rival("gateway, many tenants", many, many_port, "")
        measure(first, Load(load.connections, 1, 1), stage.cores)
        measure(crowd, Load(load.connections, 1, 1, script), stage.cores)
        of_one: list[Sample] = []
        of_many: list[Sample] = []
        for _ in range(rounds):
            of_one.append(measure(first, load, stage.cores))
            of_many.append(measure(crowd, load._replace(script=script), stage.cores))
        met = many.usage().resident - one.usage().resident
        return Crowd(
            median(sample.cpu for sample in of_one),
            median(sample.cpu for sample in of_many),
            idle / tenants,
            met / tenants,
        )


def measure_pair(stage: Stage, load: Load, rounds: int) -> Pair:
    """One process alone, then two that share a port by `listen.reuse_port`.

    Each has a core of its own if there are three, one of them for the load; else they share one.
    """
    with ExitStack() as stack:
        alone, port = start_gateway(stage, "gateway-alone")
        stack.callback(alone.stop)
        shared, cores = free_port(), stage.cores.rivals
        twins = []
        for n in range(2):
            twin, _ = start_gateway(stage, f"gateway-twin-{n}", cores[n % len(cores)], shared)
            stack.callback(twin.stop)
            twins.append(twin)
        one = Rival("gateway, one process", alone, port, TOKEN)
        two = Rival("gateway, two processes", twins[0], shared, TOKEN)
        measure(one, Load(load.connections, 1, 1), stage.cores)
        measure_group(two, twins, Load(load.connections, 1, 1), stage.cores)
        of_one: list[Sample] = []
        of_two: list[Sample] = []
        for _ in range(rounds):
            of_one.append(measure(one, load, stage.cores))
            of_two.append(measure_group(two, twins, load, stage.cores))
        return Pair(
            median(sample.cpu for sample in of_one),
            median(sample.cpu for sample in of_two),
            median(sample.per_second for sample in of_one),
            median(sample.per_second for sample in of_two),
        )

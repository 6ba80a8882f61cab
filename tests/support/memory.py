"""What `check` says that can be held at most, for tests that compare it with the real program."""

import json
from typing import Final

from gateway.cli.worst_case import MIB
from tests.support.gateway import run
from tests.support.world import ENVIRON, World

NOISE: Final = 6 * MIB  # first uses of code, and what the allocator keeps
# The debug hooks of a development build would touch every byte that is allocated.
PLAIN_PYTHON: Final = {"PYTHONDEVMODE": ""}


def memory(world: World) -> dict[str, int]:
    """What `check` says of this configuration, in bytes by what holds it."""
    _, out = run(["check", "--json", "--config", str(world.gateway.config)], ENVIRON | PLAIN_PYTHON)
    parts: dict[str, int] = json.loads(out)["memory"]
    return parts

"""invopop-gateway: an authenticating egress gateway for the Invopop API.

A request comes in; we learn **who** calls (`identity`), decide whether they **may** (`policy`),
take the **key** (`vault`), **send** it on (`upstream`), and **report** what happened (`observe`).
`pipeline` takes one request through these five packages: read it first.

Imports point downwards only, and packages of one layer never import each other:

    cli → server | sandbox → app (wires all) → observers (who gets which events) | reload
        → pipeline | admin | compiled → attempts | file_attempts | relay | tunnels
        → sending → admission → services, inbound, inbound_body
        → identity | policy | vault | upstream | observe → network
        → settings | events | invopop → model → errors | known_head
        → asgi | deadline | flush_queue | framing | pin | secret | shares | socket_queues
        | trace | turns | watcher
"""

from importlib.util import find_spec

__version__ = "0.2.0"


def is_compiled() -> bool:
    """Whether the modules on a request's way are compiled: see `.ci/compile_hook.py`."""
    spec = find_spec("gateway.pipeline")
    return spec is not None and not str(spec.origin).endswith(".py")

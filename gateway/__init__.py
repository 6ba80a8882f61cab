"""invopop-gateway: an authenticating egress gateway for the Invopop API.

A request comes in; we learn **who** calls (`identity`), decide whether they **may** (`policy`),
take the **key** (`vault`), **send** it on (`upstream`), and **tell** what happened (`observe`).
`pipeline` is the way of one request through these five rooms: read it first.

Imports point downwards only, and rooms of one floor never import each other:

    cli → server | sandbox → app (wires all) → observers (who hears of what) | reload
        → pipeline | admin | compiled → attempts | relay → services, inbound
        → identity | policy | vault | upstream | observe → settings | events | invopop
        → model → errors → asgi | secret | trace | watcher
"""

__version__ = "0.2.0"

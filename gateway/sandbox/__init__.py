"""Invopop, emulated well enough to develop against without an account; imported by cli and tests.

`sandbox` holds the state and is the ASGI app, `serve` puts it behind real TLS with a certificate
of its own `certificates`. One file per service: `silo` and `files`, `gobl`, `transform` and
`jobs`, `sequence`, `access`, `ping`. Law: everything lives in memory, a workspace sees only itself.
"""

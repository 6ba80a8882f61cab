"""Invopop, emulated well enough to develop against without an account; imported by cli and tests.

`sandbox` is the ASGI app, on the `state` of its workspaces; `serve` puts it and the hosts of its
files behind real TLS, with a CA of its own. One file per service: `silo` with `query`, `meta` and
`files`, `gobl`, `transform` and `jobs`, `sequence`, `access` and `enrollments`, `apps`. Everything
lives in memory; a workspace sees only itself.
"""

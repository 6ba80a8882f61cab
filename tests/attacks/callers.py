"""Callers that the attacks use, beside those of every world: who may do more, and who less."""

import re
from typing import Any

from tests.support.gateway import token_hash
from tests.support.world import World

ANY = "igw_sentinel-token-of-any-tenant-000000000"
GLOB = "igw_sentinel-token-of-a-glob-0000000000000"
FENCED = "igw_sentinel-token-of-fenced-0000000000000"
NARROW = "igw_sentinel-token-of-narrow-0000000000000"
FETCHER = "igw_sentinel-token-of-fetcher-000000000000"
READER = "igw_sentinel-token-of-reader-0000000000000"
EXCEPT_FILES = "igw_sentinel-token-of-except-files-0000000"


def _caller(token: str, tenant: str, **rules: Any) -> dict[str, Any]:
    return {"tokens": [token_hash(token)], "issuers": [], "tenants": [tenant], **rules}


CALLERS = {
    "any": _caller(ANY, "*"),
    "glob": _caller(GLOB, "acme-*"),
    "fenced": _caller(FENCED, "acme", deny=["access.*", "DELETE /**"]),
    "narrow": _caller(NARROW, "acme", allow=["silo.entries.*"]),
    "fetcher": _caller(FETCHER, "acme", allow=["silo.entries.fetch"]),
    "reader": _caller(READER, "acme", allow=["@read_only", "access.*", "GET /access/**"]),
    "except-files": _caller(EXCEPT_FILES, "acme", allow=["*", "* /**"], deny=["silo.files.*"]),
}
SIDECAR = {"local": {"networks": ["127.0.0.0/8"], "issuers": [], "tenants": ["acme"]}}


def shape(world: World, raw: bytes) -> bytes:
    """Every byte of the answer but the time."""
    connection = world.connect()
    connection.send(raw, lenient=True)
    assert connection.reply().complete
    connection.close()
    return re.sub(rb"(?m)^date: .*\r\n", b"", bytes(connection.received))

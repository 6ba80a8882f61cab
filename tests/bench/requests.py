"""The requests of a load, as a wrk script: no two heads are alike, as with real callers.

Rule: what varies in practice varies here: path, request id, trace context, and token.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.bench.environment import PATH

# Operations that the gateway knows.
_PATHS: Final = (
    PATH,
    "/silo/v1/entries/01933eb3-9d93-7000-8000-000000000001",
    "/silo/v1/entries?limit=50&folder=sales",
    "/transform/v1/workflows",
    "/transform/v1/jobs/01933eb3-9d93-7000-8000-000000000002",
)
_SCRIPT: Final = """\
local paths = {{ {paths} }}
local tokens = {{ {tokens} }}
local body = string.rep("x", {body})
local at = 0
local host, trace

function init(args)
  host = wrk.headers["Host"]
  math.randomseed(os.time())
  trace = string.format("%08x%08x", math.random(2 ^ 31 - 1), math.random(2 ^ 31 - 1))
end

function request()
  at = at + 1
  local id = string.format("%016x", at)
  return "{method} " .. paths[at % #paths + 1] .. " HTTP/1.1\\r\\nHost: " .. host ..
    "\\r\\nAccept: application/json\\r\\nUser-Agent: bench/1.0\\r\\nAuthorization: Bearer " ..
    tokens[at % #tokens + 1] .. "\\r\\nX-Request-Id: " .. trace .. id ..
    "\\r\\ntraceparent: 00-" .. trace .. id .. "-" .. id .. "-00\\r\\n{more}\\r\\n" .. body
end
"""


def write_script(path: Path, tokens: Sequence[str], body: int = 0) -> Path:
    """GETs, or POSTs with a body of so many bytes, that show one token after the other."""
    more = f"Content-Type: application/json\\r\\nContent-Length: {body}\\r\\n" if body else ""
    path.write_text(
        _SCRIPT.format(
            method="POST" if body else "GET",
            paths=_listed(("/silo/v1/entries",) if body else _PATHS),
            tokens=_listed(tokens),
            body=body,
            more=more,
        )
    )
    return path


def _listed(texts: Sequence[str]) -> str:
    return ",\n".join(f'"{text}"' for text in texts)

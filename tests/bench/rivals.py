"""Who is compared: the gateway, Envoy, nginx and the naive way, each before the same origin.

Rule: each is given one core and as little work beyond the comparison as its maker allows.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from gateway.identity.tokens import hash_token
from tests.bench.environment import ISSUER, KEY, TOKEN, Stage, start_nginx
from tests.bench.envoy_rival import start_envoy
from tests.bench.haproxy_rival import start_haproxy
from tests.bench.machine import Process, free_port

LABELS: Final = {
    "gateway-token": "invopop-gateway, opaque token",
    "gateway-jwt": "invopop-gateway, RS256 JWT (cached)",
    "gateway-compiled-token": "invopop-gateway compiled, opaque token",
    "gateway-compiled-jwt": "invopop-gateway compiled, RS256 JWT (cached)",
    "envoy-jwt-cached": "Envoy: jwt_authn with its cache, key, JSON log",
    "envoy-jwt": "Envoy: jwt_authn without a cache, key, JSON log",
    "haproxy": "HAProxy: JWT verified each time, key by a map, JSON log",
    "nginx": "nginx: proxy_pass, key; no caller check, no log",
    "naive": "Starlette + httpx.AsyncClient + StreamingResponse",
}
_GATEWAY: Final = """\
[listen]
port = {port}
reuse_port = {reuse_port}

[admin]
port = 0

[upstream]
url = "https://localhost:{origin}"
ca_file = "{ca}"
ca_only = true

[[issuers]]
issuer = "{issuer}"
audience = "invopop-gateway"
algorithms = ["RS256"]
jwks_file = "{jwks}"
tenant_claim = "tenant"

[limits]
max_body = 0

[callers.jwt-caller]
tenants = ["acme"]

[callers.token-caller]
tokens = ["{hash}"]
tenants = ["acme"]
"""
_NGINX: Final = """\
  upstream origin {{ server localhost:{origin}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    client_body_buffer_size 128k;
    location / {{
      proxy_pass https://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host localhost;
      proxy_set_header Authorization "Bearer {key}";
      proxy_ssl_verify on;
      proxy_ssl_name localhost;
      proxy_ssl_server_name on;
      proxy_ssl_trusted_certificate {ca};
    }}
  }}"""


class Rival(NamedTuple):
    """A running contestant. Two of them may be one process, asked in two ways."""

    name: str
    process: Process
    port: int
    token: str


def start_gateway(
    stage: Stage, name: str = "gateway", core: int | None = None, port: int = 0, more: str = ""
) -> tuple[Process, int]:
    """The gateway as it is run anywhere; with a `port`, as one of several that share it."""
    configuration = configure_gateway(stage, name, port, more)
    return run_gateway(stage, configuration, core)


def configure_gateway(stage: Stage, name: str, port: int = 0, more: str = "") -> Path:
    """Writes the gateway's configuration; `more` is text for its end.

    A file `vault-NAME.toml`, if there is one, takes the place of the vault of one tenant.
    """
    vault = stage.folder / f"vault-{name}.toml"
    if not vault.exists():
        write_vault(vault, {"acme": KEY})
    configuration = stage.folder / f"{name}.toml"
    settings = _GATEWAY.format(
        port=port,
        reuse_port=str(bool(port)).lower(),
        origin=stage.origin_port,
        ca=stage.ca_file,
        jwks=stage.jwks_file,
        issuer=ISSUER,
        hash=hash_token(TOKEN),
    )
    configuration.write_text(f'{settings}\n[vault]\nfile = "{vault}"\n{more}')
    return configuration


def run_gateway(
    stage: Stage,
    configuration: Path,
    core: int | None = None,
    module: str = "gateway",
    python: str = sys.executable,
) -> tuple[Process, int]:
    """Starts the gateway, or what `module` has in its place, and tells its callers' port.

    Another `python` than this one runs what is installed for it, not what lies here.
    """
    safe = () if python == sys.executable else ("-P",)
    process = Process(
        (python, *safe, "-m", module, "serve", "--config", str(configuration)),
        stage.cores.rivals[0] if core is None else core,
        stage.output(configuration.stem),
    )
    process.wait_for(lambda: _callers_port(process.output) > 0)
    return process, _callers_port(process.output)


def write_vault(path: Path, keys: dict[str, str]) -> None:
    """A vault with these tenants' keys, readable by its owner only."""
    path.touch(mode=0o600)
    lines = (f'[tenants.{name}]\nkey = {{ value = "{key}" }}\n' for name, key in keys.items())
    path.write_text("\n".join(lines))


def start_all(
    stage: Stage, wanted: list[str], running: Callable[[Process], Process]
) -> list[Rival]:
    """Starts the rivals of these names; `running` is told of each process, to stop it later."""
    rivals: list[Rival] = []
    forms = [("gateway", sys.executable)]
    forms += [("gateway-compiled", str(stage.compiled))] if stage.compiled else []
    for form, python in forms:
        if {f"{form}-token", f"{form}-jwt"} & set(wanted):
            process, port = run_gateway(stage, configure_gateway(stage, form), python=python)
            running(process)
            rivals.append(Rival(f"{form}-token", process, port, TOKEN))
            rivals.append(Rival(f"{form}-jwt", process, port, stage.jwt))
    others: tuple[tuple[str, Callable[[int], Process], str], ...] = (
        ("envoy-jwt-cached", partial(start_envoy, stage, cached=True), stage.jwt),
        ("envoy-jwt", partial(start_envoy, stage, cached=False), stage.jwt),
        ("haproxy", partial(start_haproxy, stage), stage.jwt),
        ("nginx", partial(_nginx, stage), TOKEN),
        ("naive", partial(_naive, stage), TOKEN),
    )
    for name, start, token in others:
        if name in wanted:
            port = free_port()
            process = running(start(port))
            process.wait_for_port(port)
            rivals.append(Rival(name, process, port, token))
    return [rival for rival in rivals if rival.name in wanted]


def _callers_port(output: Path) -> int:
    """The port of the callers' listener as the gateway's log tells it, or 0."""
    for line in output.read_bytes().splitlines()[:200]:
        if b'"listening"' in line and b'"callers"' in line:
            return int(json.loads(line)["url"].rpartition(":")[2])
    return 0


def _nginx(stage: Stage, port: int) -> Process:
    server = _NGINX.format(port=port, origin=stage.origin_port, key=KEY, ca=stage.ca_file)
    return start_nginx(stage, "rival", server, stage.cores.rivals[0])


def _naive(stage: Stage, port: int) -> Process:
    command = (
        *(sys.executable, "-m", "uvicorn", "tests.bench.naive:app", "--port", str(port)),
        *("--no-access-log", "--log-level", "warning", "--http", "httptools", "--loop", "uvloop"),
    )
    environ = {
        "BENCH_UPSTREAM": f"https://localhost:{stage.origin_port}",
        "BENCH_CA_FILE": str(stage.ca_file),
        "BENCH_KEY": KEY,
    }
    return Process(command, stage.cores.rivals[0], stage.output("naive"), environ)

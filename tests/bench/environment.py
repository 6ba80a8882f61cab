"""The files of one run: certificates, tokens, and the load's origin, an nginx that speaks TLS.

Rule: everything lies in one scratch directory and listens on 127.0.0.1.
"""

import shutil
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench.machine import BenchError, Cores, Process, free_port
from tests.support.certificates import Authority
from tests.support.jwt import Issuer

ISSUER: Final = "https://id.bench"
PATH: Final = "/silo/v1/entries?limit=20"  # an operation that the gateway knows
KEY: Final = "bench-key-0123456789abcdefghijklmnopqrstuvwxyz"
TOKEN: Final = "igw_bench-0123456789abcdefghijklmnopqrstuvwx"
_HOUR: Final = 3600
_BODY: Final = (
    '{"list":[{"id":"01933eb3-9d93-7000-8000-000000000001","folder":"sales"},'
    '{"id":"01933eb3-9d93-7000-8000-000000000002","folder":"sales"}],"limit":20}'
)

_NGINX: Final = """\
daemon off;
master_process off;
pid {folder}/nginx-{name}.pid;
error_log {folder}/nginx-{name}.log error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-{name}-body;
  proxy_temp_path {folder}/nginx-{name}-proxy;
  fastcgi_temp_path {folder}/nginx-{name}-fastcgi;
  uwsgi_temp_path {folder}/nginx-{name}-uwsgi;
  scgi_temp_path {folder}/nginx-{name}-scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  tcp_nodelay on;
{servers}
}}
"""
_ORIGIN: Final = """\
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096;
    server_name localhost;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {{ default_type application/json; return 200 '{body}'; }}
  }}"""


class Stage(NamedTuple):
    """What every rival is told: the cores, the origin's address and the files that go with it."""

    folder: Path
    cores: Cores
    certificate: Path
    ca_file: Path
    jwks_file: Path
    jwt: str
    origin_port: int
    compiled: Path | None = None  # a Python in whose environment the gateway is compiled

    def output(self, name: str) -> Path:
        """Where a process writes what it says."""
        return self.folder / f"{name}.log"


def set_up(folder: Path, cores: Cores, compiled: Path | None = None) -> Stage:
    """Makes the files. A token lasts longer than any run."""
    authority = Authority(folder)
    certificate = authority.certificate("localhost", "127.0.0.1")
    issuer = Issuer(folder, ISSUER)
    claims = issuer.claims("jwt-caller")
    jwt = issuer.token({**claims, "exp": claims["exp"] + 24 * _HOUR, "tenant": "acme"})
    files = (certificate, authority.ca_file, issuer.jwks_file)
    return Stage(folder, cores, *files, jwt, free_port(), compiled)


def start_origin(stage: Stage) -> Process:
    """Answers every request with the same small JSON document."""
    server = _ORIGIN.format(port=stage.origin_port, certificate=stage.certificate, body=_BODY)
    process = start_nginx(stage, "origin", server, stage.cores.load)
    process.wait_for_port(stage.origin_port)
    return process


def start_nginx(stage: Stage, name: str, servers: str, core: int) -> Process:
    """One nginx process with these server (and upstream) blocks."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if nginx is None:
        raise BenchError("nginx is not installed (Debian: apt install nginx-light)")
    path = stage.folder / f"nginx-{name}.conf"
    path.write_text(_NGINX.format(folder=stage.folder, name=name, servers=servers))
    return Process((nginx, "-c", str(path)), core, stage.output(f"nginx-{name}"))

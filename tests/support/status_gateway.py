"""A gateway with something to tell: the sandbox as a process, an issuer that answers and one that
does not, a tenant whose key Invopop refuses, and requests of every kind.
"""

import contextlib
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx

from gateway.sandbox.samples import invoice
from tests.support.certificates import Authority, server_context
from tests.support.gateway import GatewayProcess
from tests.support.jwt import Issuer
from tests.support.key_server import JWKS, KeyServer
from tests.support.prometheus import DEPLOY

ISSUER: Final = "https://id.internal"
SILENT_ISSUER: Final = "https://gone.internal"
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
BILLING: Final = {"Authorization": "Bearer igw_sandbox-billing-public-by-design"}
REPORTING: Final = {"Authorization": "Bearer igw_sandbox-reporting-public-by-design"}


class Sandbox(NamedTuple):
    """The sandbox Invopop as compose runs it: its process, its port, and where its keys are."""

    process: "subprocess.Popen[str]"
    port: int
    directory: Path


@contextlib.contextmanager
def sandbox_process(directory: Path, port: int = 0) -> Iterator[Sandbox]:
    """Runs it until the block is left."""
    where = ("--port", str(port), "--dir", str(directory))
    command = (sys.executable, "-m", "gateway", "sandbox", *where)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert "listens on https://localhost:" in first, first
            # The files are written before the line is.
            yield Sandbox(process, int(first.rpartition(":")[2]), directory)
        finally:
            process.terminate()
            process.wait(10)


def compose_file(name: str, sandbox: Sandbox) -> dict[str, Any]:
    """One of compose's configuration files as it is, but for ports and the volume's path."""
    text = (DEPLOY / "compose" / name).read_text()
    text = text.replace("/sandbox/", f"{sandbox.directory}/").replace(":8443", f":{sandbox.port}")
    return tomllib.loads(text.replace("= 8585", "= 0").replace("= 9585", "= 0"))


@contextlib.contextmanager
def observed(
    directory: Path, sandbox: Sandbox, environ: Mapping[str, str] | None = None
) -> Iterator[GatewayProcess]:
    """The gateway: compose's configuration, two issuers, and the tenant `initech`."""
    authority, issuer = Authority(directory, "issuers"), Issuer(directory, ISSUER)
    server = KeyServer(server_context(authority.certificate("localhost")))
    server.put(JWKS, issuer.jwks())
    known = {"audience": "invopop-gateway", "algorithms": ["RS256"], "jwks_refresh": 1.0,
             "jwks_ca_file": str(authority.ca_file)}  # fmt: skip
    settings, vault = (compose_file(name, sandbox) for name in ("gateway.toml", "vault.toml"))
    settings["issuers"] = [
        {"issuer": ISSUER, "jwks_url": server.url + JWKS, **known},
        {"issuer": SILENT_ISSUER, "jwks_url": server.url + "/nothing", **known},
    ]
    for caller in settings["callers"].values():
        caller["issuers"] = []
        caller["tenants"].append("initech")
    # A JWT that the sandbox did not sign: refused, and the only key here that expires.
    unknown = issuer.token({"exp": int(time.time()) + 30 * 86_400})
    vault["tenants"]["initech"] = {"key": {"value": unknown}}
    try:
        with GatewayProcess(directory, settings, vault, environ) as gateway:
            yield gateway
            assert gateway.stop() == 0
    finally:
        server.close()


def send(client: httpx.Client, path: str, tenant: str = "acme", **more: str) -> int:
    """GETs a path for a tenant; the status."""
    return client.get(path, headers={**BILLING, "X-Invopop-Tenant": tenant, **more}).status_code


def a_little_of_everything(client: httpx.Client) -> None:
    """Successes, refusals, a key that is none, what only `enforce = false` lets through."""
    trace = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    assert send(client, "/access/v1/workspace", **trace) == 200
    assert send(client, "/silo/v1/entries/nothing", "globex") == 404
    assert send(client, "/access/v1/workspace", "nobody") == 403
    assert send(client, "/access/v1/workspace", "initech") == 502
    assert client.get("/silo/v1/entries").status_code == 401
    headers = {**REPORTING, "X-Invopop-Tenant": "acme"}
    made = client.post("/silo/v1/entries", headers=headers, json={"data": invoice()})
    assert made.status_code in {200, 201}, made.text

"""Everything that is named by a path, under a directory whose name is not UTF-8."""

import json
import os
import socket
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.gateway import (
    START_TIMEOUT,
    GatewayProcess,
    eventually,
    token_hash,
    write_toml,
)

TOKEN = "igw_" + "p" * 40
SHOWN = r"\xff"


def _listening(gateway: GatewayProcess) -> list[dict[str, Any]]:
    """Both listeners' events."""

    def both() -> list[dict[str, Any]]:
        found = gateway.events("listening")
        return found if len(found) == 2 else []

    return eventually(both, START_TIMEOUT)


def test_it_is_served_and_logged(tmp_path: Path) -> None:
    """Socket, audit log, vault and key work; the log, a refused reload and the status say so."""
    directory = tmp_path / os.fsdecode(b"d\xff")
    directory.mkdir()
    (directory / "key").write_text("sentinel-key-00000000000000")
    vault = {"tenants": {"acme": {"key": {"file": "key"}}}}
    gateway = GatewayProcess(
        directory,
        {
            "listen": {"socket": "gateway.sock"},
            "admin": {"port": 0},
            "audit": {"file": "audit.jsonl"},
            "callers": {"billing": {"tokens": [token_hash(TOKEN)], "tenants": ["acme"]}},
        },
        vault,
    )
    gateway.launch()
    try:
        listening = {line["listener"]: line["url"] for line in _listening(gateway)}
        assert listening["callers"].endswith(f"/d{SHOWN}/gateway.sock")
        assert gateway.told("process_started")[0]["config"].endswith(f"/d{SHOWN}/gateway.toml")
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(5)
            caller.connect(os.fsencode(directory / "gateway.sock"))
            caller.sendall(b"GET /a//b HTTP/1.1\r\nHost: gw\r\n\r\n")
            assert caller.recv(4096).startswith(b"HTTP/1.1 400")
        audit = directory / "audit.jsonl"
        eventually(lambda: "request_refused" in audit.read_text())
        write_toml(directory / "vault.toml", vault | {"unknown": 1})
        (refused,) = gateway.told("config_reload")
        assert f"d{SHOWN}/vault.toml" in refused["problems"][0]
        eventually(lambda: "config_reloaded" in audit.read_text())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for path in ("/status", "/"):
            with opener.open(listening["admin"] + path, timeout=5) as page:
                assert b"acme" in page.read()
        assert gateway.stop() == 0
    finally:
        gateway.kill()
    for line in audit.read_text().splitlines():
        json.loads(line)

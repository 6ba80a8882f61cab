"""Calls as Invopop's own clients make them, what they decode, and a gateway and sandbox for them.

The clients: github.com/invopop/client.go v0.59.0 (resty; its queries of the silo are in the
repository since commit 76c5514, after that release), and the gem invopop 0.1.0 (Faraday).
"""

import gzip
import http.client
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.support.gateway import GatewayProcess, token_hash

TOKEN: Final = "igw_sentinel-token-of-official-clients-00"
OWNER: Final = str(uuid.uuid5(uuid.NAMESPACE_DNS, "acme.sandbox.invalid"))
GO: Final = {
    "User-Agent": "resty/3.0 (+https://resty.dev)",
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
}
RUBY: Final = {
    "User-Agent": "Faraday v2.7.11",
    "Accept": "*/*",
    "Accept-Encoding": "gzip;q=1.0,deflate;q=0.6,identity;q=0.3",
}
# The members that the Go client's structures name, and the JSON type that each must have.
ENTRY: Final = {
    **dict.fromkeys(("id", "created_at", "updated_at", "key", "folder", "state", "context"), str),
    **dict.fromkeys(("env_schema", "doc_schema"), str),
    **dict.fromkeys(("signed", "invalid"), bool),
    **dict.fromkeys(("faults", "tags", "attachments", "meta"), list),
    "digest": dict,
}
ENTRIES: Final = {
    **dict.fromkeys(("folder", "created_at", "cursor", "next_cursor"), str),
    "list": list,
    "limit": int,
}
JOB: Final = {
    **dict.fromkeys(("id", "created_at", "updated_at", "silo_entry_id", "workflow_id"), str),
    **dict.fromkeys(("key", "completed_at"), str),
    **dict.fromkeys(("tags", "intents", "faults", "attachments"), list),
    "args": dict,
}
INTENT: Final = {
    **dict.fromkeys(("id", "created_at", "updated_at", "step_id", "name", "provider"), str),
    "events": list,
    "completed": bool,
}
EVENT: Final = {
    **dict.fromkeys(("status", "at", "code", "message"), str),
    "index": int,
    "args": dict,
}
FILE: Final = {
    **dict.fromkeys(("id", "created_at", "name", "desc", "key", "category"), str),
    **dict.fromkeys(("hash", "mime", "url"), str),
    **dict.fromkeys(("stored", "embeddable", "private"), bool),
    "size": int,
    "meta": dict,
    "previous": list,
}
SERIES: Final = {
    **dict.fromkeys(("id", "name", "prefix", "suffix", "last_entry_id", "created_at"), str),
    **dict.fromkeys(("padding", "start", "last_index"), int),
}
NUMBER: Final = {"id": str, "code": str}
META: Final = {
    **dict.fromkeys(("id", "created_at", "updated_at", "owner_id", "entry_id", "src", "key"), str),
    **dict.fromkeys(("ref", "link_url", "link_scope"), str),
    **dict.fromkeys(("indexed", "owned", "secure", "shared"), bool),
}
COUNT: Final = {
    **dict.fromkeys(("schema", "filter"), str),
    **dict.fromkeys(("count_capped", "count_unavailable"), bool),
    "count": int,
}
FOUND: Final = {
    **COUNT,
    **dict.fromkeys(("order_by", "cursor", "next_cursor", "watermark"), str),
    "list": list,
    "limit": int,
    "notes": list,
}


class Client:
    """Calls as one of the clients makes them."""

    def __init__(self, port: int, headers: Mapping[str, str]) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {TOKEN}", **headers}

    def call(self, method: str, target: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of a reply."""
        headers, content = dict(self._headers), None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request(method, target, content, headers)
        reply = connection.getresponse()
        data = reply.read()
        connection.close()
        assert (reply.getheader("Content-Type") or "").partition(";")[0].endswith("json")
        if reply.getheader("Content-Encoding") == "gzip":
            data = gzip.decompress(data)
        return reply.status, json.loads(data)

    def download(self, target: str) -> tuple[str, bytes]:
        """Type and content of a file, read as it comes."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request("GET", target, headers=self._headers)
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        assert reply.status == 200, content
        return reply.getheader("Content-Type") or "", content

    def done(self, method: str, target: str, body: Any = None) -> Any:
        """The JSON of a reply that the client takes for a success."""
        status, found = self.call(method, target, body)
        assert 200 <= status <= 299, found
        return found


def parsed(found: Any, members: Mapping[str, type]) -> Any:
    """An object as both clients decode it: a known member of another type is an error."""
    assert isinstance(found, dict)
    for name, type_ in members.items():
        value = found.get(name)
        assert value is None or (type(value) is type_), (name, value)
    return found


@contextmanager
def in_front_of_the_sandbox(directory: Path) -> Iterator[int]:
    """The port of a gateway in front of the sandbox, its tenant's key issued by that."""
    command = [sys.executable, "-u", "-m", "gateway", "sandbox", "--port", "0"]
    sandbox = subprocess.Popen(
        [*command, "--dir", str(directory)], stdout=subprocess.PIPE, encoding="utf-8"
    )
    assert sandbox.stdout is not None
    found = None
    while found is None:
        line = sandbox.stdout.readline()
        assert line, "the sandbox did not start"
        found = re.search(r"https://\S+:\d+", line)
    try:
        with GatewayProcess(directory, *_configuration(directory, found[0])) as gateway:
            yield gateway.port
    finally:
        sandbox.terminate()
        sandbox.communicate(timeout=10)


def _configuration(directory: Path, url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings and vault."""
    application = directory / "application.json"
    secret = {"file": str(application), "field": "client_secret"}
    client_id = json.loads(application.read_text())["client_id"]
    settings = {
        "listen": {"port": 0},
        "admin": {"port": 0},
        "upstream": {"url": url, "ca_file": str(directory / "ca.pem"), "ca_only": True},
        "vault": {"invopop": {"client_id": client_id, "client_secret": secret}},
        "callers": {"app": {"tokens": [token_hash(TOKEN)], "tenants": ["acme"]}},
    }
    return settings, {"tenants": {"acme": {"key": {"invopop": OWNER}}}}

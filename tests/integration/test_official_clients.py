"""The calls, bodies and parsing of Invopop's own clients, through the gateway to the sandbox.

As made by github.com/invopop/client.go v0.59.0 (resty) and by the gem invopop 0.1.0 (Faraday): what
they send is written down here, and what they read is read as strictly as they do. The key is one
that the sandbox issues to its application.
"""

import gzip
import http.client
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.sandbox.samples import WORKFLOW_ID, invoice
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
FILE: Final = {**dict.fromkeys(("id", "name", "mime", "url"), str), "size": int}
# What the gem's structures coerce: a time must be one, a number a number.
RUBY_ENTRY: Final = {
    **dict.fromkeys(("id", "created_at", "updated_at", "env_schema", "doc_schema"), str),
    **dict.fromkeys(("tags", "attachments"), list),
    "data": dict,
}
RUBY_JOB: Final = {
    **dict.fromkeys(("id", "created_at", "updated_at", "silo_entry_id", "workflow_id"), str),
    **dict.fromkeys(("status", "completed_at"), str),
    **dict.fromkeys(("tags", "intents", "attachments"), list),
    "envelope": dict,
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


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A gateway in front of the sandbox, its tenant's key issued by that."""
    directory = tmp_path_factory.mktemp("official")
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
        with GatewayProcess(directory, *configuration(directory, found[0])) as gateway:
            yield gateway.port
    finally:
        sandbox.terminate()
        sandbox.communicate(timeout=10)


def configuration(directory: Path, url: str) -> tuple[dict[str, Any], dict[str, Any]]:
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


def test_the_go_client(port: int) -> None:
    """Ping, an entry and a job by id and by key, a page of entries: each is what it decodes."""
    client, entry, job = Client(port, GO), str(uuid.uuid1()), str(uuid.uuid1())
    assert client.done("GET", "/utils/v1/ping") == {"ping": "pong"}
    body = {"folder": "sales", "data": invoice("GO-1"), "key": "go-1"}
    made = parsed(client.done("PUT", f"/silo/v1/entries/{entry}", body), ENTRY)
    assert (made["id"], made["key"]) == (entry, "go-1")
    for target in (f"/silo/v1/entries/{entry}", "/silo/v1/entries/key/go-1"):
        assert parsed(client.done("GET", target), ENTRY)["id"] == entry
    page = parsed(client.done("GET", "/silo/v1/entries?folder=sales&limit=2"), ENTRIES)
    assert entry in [parsed(one, ENTRY)["id"] for one in page["list"]]
    wanted = {"workflow_id": WORKFLOW_ID, "silo_entry_id": entry, "key": "go-job", "args": {}}
    ended = parsed(client.done("PUT", f"/transform/v1/jobs/{job}?wait=20", wanted), JOB)
    assert ended["completed_at"]
    assert not ended.get("faults")
    for intent in ended["intents"]:
        for event in parsed(intent, INTENT)["events"]:
            parsed(event, EVENT)
    for target in (f"/transform/v1/jobs/{job}", "/transform/v1/jobs/key/go-job"):
        assert parsed(client.done("GET", target), JOB)["id"] == job
    signed = parsed(client.done("GET", f"/silo/v1/entries/{entry}"), ENTRY)
    assert signed["signed"]
    assert [parsed(file, FILE)["mime"] for file in signed["attachments"]] == ["application/pdf"]


def test_the_go_clients_errors(port: int) -> None:
    """Its error has `code` and `message` filled, by Invopop's errors and by the gateway's own."""
    client = Client(port, GO)
    status, error = client.call("GET", f"/silo/v1/entries/{uuid.uuid4()}")
    assert status == 404
    assert parsed(error, {"code": str, "message": str})["message"]
    credentials = {"owner_id": OWNER, "client_id": "x", "client_secret": "y"}
    status, error = client.call("POST", "/access/v1/enrollment/authorize", credentials)
    assert (status, error["code"]) == (403, "operation_denied")
    assert parsed(error, {"code": str, "message": str})["message"]


def test_the_ruby_client(port: int) -> None:
    """Ping, a UUID, an entry, the list of them, and a job with `wait`, as the gem makes them."""
    client, entry, job = Client(port, RUBY), str(uuid.uuid1()), str(uuid.uuid1())
    assert client.done("GET", "/utils/v1/ping")["ping"] == "pong"
    assert uuid.UUID(client.done("GET", "/utils/v1/uuid?v=4")["uuid"]).version == 4
    body = {"data": invoice("RUBY-1")}
    made = parsed(client.done("PUT", f"/silo/v1/entries/{entry}", body), RUBY_ENTRY)
    assert (made["id"], made["data"]["doc"]["code"]) == (entry, "RUBY-1")
    change = {"data": invoice("RUBY-2")}
    assert client.done("PATCH", f"/silo/v1/entries/{entry}", change)["id"] == entry
    page = client.done("GET", "/silo/v1/entries")
    assert entry in [parsed(one, RUBY_ENTRY)["id"] for one in page["list"]]
    wanted = {"workflow_id": WORKFLOW_ID, "silo_entry_id": entry}
    ended = parsed(client.done("PUT", f"/transform/v1/jobs/{job}?wait=20", wanted), RUBY_JOB)
    assert ended["completed_at"]
    assert parsed(client.done("GET", f"/transform/v1/jobs/{job}"), RUBY_JOB)["id"] == job
    status, error = client.call("GET", f"/transform/v1/jobs/{uuid.uuid4()}")
    assert (status, bool(error["message"])) == (404, True)

"""Keys and tokens occur in no output whatever, also at debug level; queries neither."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import run, write_toml
from tests.support.world import (
    ENVIRON,
    KEY_A,
    SECRETS,
    TOK_A,
    TOK_B,
    TOK_S,
    VAULT,
    World,
    fields,
    request,
    settings,
)

ENTRY = "347c5b04-cde2-11ed-afa1-0242ac120002"
QUERY = "sentinel-value-of-a-query"
BODY = "sentinel-text-of-a-body"
COOKIE = "sentinel-cookie-of-invopop"
DEVELOPMENT = {"PYTHONDEVMODE": "1", "PYTHONASYNCIODEBUG": "1"}


@pytest.fixture(scope="module")
def _verbose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("verbose")
    with World(directory, {"log": {"level": "debug"}}, environ=DEVELOPMENT) as made:
        yield made


@pytest.fixture
def verbose(_verbose: World) -> Iterator[World]:
    """A gateway in Python's development mode, at debug level."""
    yield _verbose
    _verbose.check_invariants()


def tour(world: World) -> None:
    """Requests that end in every way: served, refused, broken at either end, left."""
    body = BODY.encode()
    sized = f"Content-Length: {len(body)}"
    jwt = world.issuer.token(world.issuer.claims("billing"))
    for scripted in (
        (
            fields("200 OK", f"Set-Cookie: {COOKIE}", f"X-Echo: {KEY_A}", "Content-Length: 0"),
            "keep",
        ),
        (b"HTTP/1.1 999 Odd\r\nX-Echo: " + KEY_A.encode() + b"\r\n\r\n", "keep"),
        (fields("200 OK", f"X[{KEY_A}]: v", "Content-Length: 0"), "keep"),
        (b"", "reset"),
        (fields("200 OK", "Content-Length: 99") + b"short", "abort"),
        (
            fields("401 Unauthorized", f"WWW-Authenticate: Bearer {KEY_A}", "Content-Length: 0"),
            "keep",
        ),
        (fields("500 Oops", "Content-Length: 0"), "close"),
    ):
        world.origin.answer(*scripted)
        raw = request(f"POST /silo/v1/entries?api_key={QUERY}", sized, body=body)
        connection = world.connect()
        connection.send(raw)
        connection.reply("POST")
    for raw in (
        request(f"GET /x?q={QUERY}", token=jwt),
        request(f"GET /x?q={QUERY}", token=jwt[:-3]),
        request(f"GET /a//{QUERY}", f"X: {QUERY}"),
        request("GET /x", f"Proxy-Authorization: Basic {TOK_A}"),
        request("GET /x", "X-Invopop-Tenant: globex", token=TOK_S),
        request("GET /x", f"X-Invopop-Tenant: {TOK_A}", token=TOK_S),
        request(f"GET /{TOK_A}", "Host: two"),
        request("GET /x", "Authorization: two"),
        request(f"{TOK_A[:10]}\x01 /x"),
        request("GET /x", f"bad header {TOK_B}"),
        request("POST /x", "Transfer-Encoding: chunked", body=TOK_B.encode() + b"\r\n"),
    ):
        connection = world.connect()
        connection.send(raw, lenient=True)
        connection.reply()
    world.origin.silent()
    leaving = world.connect()
    leaving.send(request(f"GET /x?q={QUERY}"))
    leaving.reset()


def told(world: World) -> bytes:
    """Everything that the program has told anyone but Invopop."""
    pages = [world.gateway.admin(path)[1] for path in ("/metrics", "/readyz", "/livez", "/status",
                                                       "/", "/nothing")]  # fmt: skip
    return b"\n".join([*pages, *(line.encode() for line in world.gateway.lines())])


def test_no_secret_in_any_output(verbose: World) -> None:
    """Cases 171, 172, 174: whatever happens, no key, token, query value, body or cookie is told."""
    tour(verbose)
    everything = told(verbose)
    for secret in (*SECRETS, QUERY, BODY, COOKIE):
        assert secret.encode() not in everything, secret
    assert b'"event":"exchange"' in everything


def test_log_names_what_is_safe(verbose: World) -> None:
    """An exchange's line tells who, for whom, what and how; the key by its fingerprint only."""
    raw = request(f"GET /silo/v1/entries/{ENTRY}?q={QUERY}", "X-Request-Id: safe-1")
    assert verbose.exchange(raw).status == 200
    record = verbose.gateway.exchange("safe-1")
    expected = {"caller": "billing", "tenant": "acme", "method": "GET", "status": 200,
                "route": "/silo/v1/entries/{id}"}  # fmt: skip
    assert expected.items() <= record.items()
    assert len(record["key"]) == 12
    assert ENTRY not in str(record)


BAD_KEYS = {
    "newline": KEY_A + "\n\n",
    "inner newline": KEY_A[:20] + "\n" + KEY_A[20:],
    "CR": KEY_A + "\r",
    "NUL": KEY_A[:20] + "\0" + KEY_A[20:],
    "non-ASCII": KEY_A + "é",
    "BOM": "\ufeff" + KEY_A,
    "empty": "",
    "only a newline": "\n",
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_malformed_key_is_refused_at_start(world: World, tmp_path: Path, name: str) -> None:
    """Case 169: the tenant is named, the value never shown."""
    (tmp_path / "key").write_text(BAD_KEYS[name])
    config = write_toml(
        tmp_path / "gateway.toml",
        settings(world.origin, world.authority.ca_file, world.issuer),
    )
    tenants = {**VAULT["tenants"], "acme": {"key": {"file": "key"}}}
    write_toml(tmp_path / "vault.toml", {"tenants": tenants})
    code, output = run(["serve", "--config", str(config)], ENVIRON)
    assert code == 1, output
    assert "acme" in output
    assert "Traceback" not in output
    for secret in (*SECRETS, KEY_A[:19], KEY_A[21:]):
        assert secret not in output


def test_key_file_with_one_newline(tmp_path: Path) -> None:
    """Case 169: the newline that editors add is not part of the key."""
    (tmp_path / "key").write_text(KEY_A + "\n")
    vault = {"tenants": {**VAULT["tenants"], "acme": {"key": {"file": "key"}}}}
    with World(tmp_path, vault=vault) as world:
        _, seen = world.passed(request("GET /x"))
        assert seen.all("authorization") == [f"Bearer {KEY_A}"]


def test_key_in_a_json_file(tmp_path: Path) -> None:
    """A key may be a member of a JSON file."""
    (tmp_path / "keys.json").write_text(json.dumps({"api_key": KEY_A, "other": 1}))
    source = {"file": "keys.json", "field": "api_key"}
    vault = {"tenants": {**VAULT["tenants"], "acme": {"key": source}}}
    with World(tmp_path, vault=vault) as world:
        _, seen = world.passed(request("GET /x"))
        assert seen.all("authorization") == [f"Bearer {KEY_A}"]

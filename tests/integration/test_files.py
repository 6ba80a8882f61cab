"""Files on other hosts, through the gateway: in both forms, without a key, over real TLS."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import eventually, run, token_hash
from tests.support.world import KEY_A, TOK_A, TOK_B, World, chunked, fields, request

READER = "igw_sentinel-token-of-file-reader-000000"
FENCED = "igw_sentinel-token-of-file-fenced-000000"
KEYLESS = "igw_sentinel-token-of-file-keyless-00000"
FAST = {"circuit_failure_ratio": 0.5, "max_retries": 2}


def caller(token: str, **rules: object) -> dict[str, object]:
    return {"tokens": [token_hash(token)], "issuers": [], "tenants": ["acme"], **rules}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory: Path = tmp_path_factory.mktemp("files")
    callers = {
        "reader": caller(READER, allow=["files.fetch"]),
        "fenced": caller(FENCED, deny=["* /.files/localhost/**", "* /.files/*/private/**"]),
        "keyless": {**caller(KEYLESS), "tenants": ["ghost"]},
    }
    vault = {
        "tenants": {
            "acme": {"key": {"env": "TEST_KEY_A"}},
            "globex": {"key": {"env": "TEST_KEY_B"}},
            "ghost": {"key": {"env": "NOT_SET"}},
        }
    }
    changes = {
        "callers": callers,
        "vault": {"strict": False},
        "limits": {"max_body": "1MiB"},
        "upstream": FAST,
        "audit": {"file": str(directory / "audit.log")},
    }
    with World(directory, changes, vault) as made:
        yield made


@pytest.fixture
def world(running: World) -> Iterator[World]:
    yield running
    running.check_invariants()


def targets(world: World, path: str) -> tuple[str, str, str]:
    """The same file in each form."""
    host = world.files.authority
    return (
        f"/.files/{host}{path}",
        f"http://{host}{path}",
        f"http://{world.origin.authority}/.files/{host}{path}",
    )


def test_a_file_is_fetched_without_a_key(world: World) -> None:
    """In every form: the path byte for byte, the caller's credential nowhere, nothing added."""
    for target in targets(world, "/6HXS/4%2Freo;x/a.pdf?h=e420fe"):
        world.files.answer(fields("200 OK", "Content-Length: 4", "Set-Cookie: a=b") + b"%PDF")
        lines = ("Cookie: a=b", "X-Invopop-Tenant: acme", "X-Api-Key: " + TOK_A, "Range: bytes=0-3",
                 "X-Request-Id: my-id", "X-Forwarded-For: 10.0.0.1")  # fmt: skip
        reply = world.exchange(request(f"GET {target}", *lines))
        assert (reply.status, reply.body) == (200, b"%PDF"), (target, reply)
        assert not reply.all("set-cookie")
        assert reply.get("x-request-id") == "my-id"
    assert not world.origin.requests
    for seen in world.files.requests:
        assert seen.target == b"/6HXS/4%2Freo;x/a.pdf?h=e420fe"
        assert dict(seen.headers).keys() == {"host", "range", "via"}, seen.headers
        assert seen.all("host") == [world.files.authority]


def test_a_file_is_uploaded(world: World) -> None:
    """Small and large, sized and chunked; a body over the limit is refused."""
    target = targets(world, "/upload/s3cr3t")[0]
    for method, body in (("PUT", b"x" * 70_000), ("POST", b"y")):
        raw = request(f"{method} {target}", f"Content-Length: {len(body)}", body=body)
        reply = world.exchange(raw, method)
        assert reply.status == 200
        seen = world.files.requests[-1]
        assert (seen.method, bytes(seen.body)) == (method, body)
    body = b"z" * 100_000
    raw = request(f"PUT {target}", "Transfer-Encoding: chunked", body=chunked(body, 30_000))
    assert world.exchange(raw, "PUT").status == 200
    assert bytes(world.files.requests[-1].body) == body
    too_much = request(f"PUT {target}", "Content-Length: 1048577")
    world.refused(too_much, 413)


def test_one_that_fails_is_fetched_again_but_not_uploaded_again(world: World) -> None:
    """GET alone is retried."""
    target = targets(world, "/a")[0]
    for method, attempts in (("GET", 2), ("PUT", 1)):
        world.files.answer(fields("503 Busy", "Content-Length: 0"))
        length = ("Content-Length: 0",) if method == "PUT" else ()
        reply = world.exchange(request(f"{method} {target}", *length), method)
        assert reply.status == (200 if attempts == 2 else 503)
        assert reply.get("x-gateway-attempts") == ("2" if attempts == 2 else None)


def test_a_redirect_passes_through(world: World) -> None:
    """It is not followed; one back to the same host holds for a client with a base URL."""
    prefixed, absolute, _ = targets(world, "/a/b")
    host = world.files.authority
    for location in (f"https://{host}/c", "/c", "https://elsewhere.example/c"):
        for target in (prefixed, absolute):
            world.files.answer(fields("302 Found", f"Location: {location}", "Content-Length: 0"))
            reply = world.exchange(request(f"GET {target}"))
            own = target == prefixed and "elsewhere" not in location
            assert reply.get("location") == (f"/.files/{host}/c" if own else location)
    assert len(world.files.requests) == 6


def test_methods_hosts_and_credentials(world: World) -> None:
    """405, 421, 401 and 407, and a credential in the query is 400: nothing is sent anywhere."""
    prefixed, absolute, _ = targets(world, "/a")
    for method in ("PATCH", "DELETE", "OPTIONS"):
        reply = world.exchange(request(f"{method} {prefixed}"), method)
        assert (reply.status, reply.get("allow")) == (405, "GET, HEAD, PUT, POST")
    assert world.get("/.files/evil.com/a").status == 421
    assert world.get("http://evil.com/a").status == 421
    assert world.get(prefixed, token=None).status == 401
    assert world.get(absolute, token=None).status == 407
    assert world.get(f"{prefixed}?token={TOK_A}").status == 400
    assert world.get(f"{absolute}?h=1&t={TOK_A[:9]}%{ord(TOK_A[9]):x}{TOK_A[10:]}").status == 400
    assert not world.files.requests
    assert not world.origin.requests


def test_policy(world: World) -> None:
    """By operation, and by path: HOST as it is configured, however it was written."""
    prefixed, absolute, _ = targets(world, "/private/a")
    assert world.get(prefixed, token=READER).status == 200
    reply = world.exchange(request(f"PUT {absolute}", "Content-Length: 0", token=READER))
    assert (reply.status, reply.get("x-gateway-error")) == (403, "operation_denied")
    for spelling in (prefixed, absolute, prefixed.replace("localhost", "LOCALHOST."),
                     prefixed.replace("private", "%70rivate")):  # fmt: skip
        assert world.get(spelling, token=FENCED).status == 403, spelling
    assert world.get(targets(world, "/public/a")[0], token=FENCED).status == 200


def test_a_tenant_whose_key_is_unavailable_can_fetch(world: World) -> None:
    """No key is needed, so none is looked up."""
    assert world.get("/x", token=KEYLESS).status == 503
    assert world.get(targets(world, "/a")[0], token=KEYLESS).status == 200


def test_log_metrics_and_audit_have_the_template_and_never_the_query(world: World) -> None:
    """`route` is one of a closed list; the key's fingerprint is empty."""
    before = world.gateway.metric("requests_total", route="/.files/{host}/{path}", tenant="acme")
    reply = world.get(targets(world, "/6HXS/secret-path?h=secret-query")[1])
    line = world.gateway.exchange(reply.get("x-request-id") or "")
    assert (line["operation"], line["route"]) == ("files.fetch", "/.files/{host}/{path}")
    assert (line["tenant"], line.get("key", "")) == ("acme", "")
    audit = world.gateway.directory / "audit.log"
    assert eventually(lambda: '"operation":"files.fetch"' in audit.read_text())
    after = world.gateway.metric("requests_total", route="/.files/{host}/{path}", tenant="acme")
    assert after == before + 1
    told = "\n".join([*world.gateway.lines(), audit.read_text(), world.gateway.metrics_text()])
    assert "secret-query" not in told
    assert "secret-path" not in told


def test_a_file_host_that_is_down_has_a_circuit_of_its_own(world: World) -> None:
    """It opens, the log names the host, and Invopop's stays closed."""
    target = targets(world, "/a")[0]
    with world.files.away():
        reply = world.get(target)
        assert (reply.status, reply.get("x-gateway-error")) == (502, "upstream_unreachable")
        told = json.loads(reply.body)
        assert told["title"] == "File host unreachable"
        assert told["detail"].startswith(f"The file host {world.files.authority}, or the network")
        assert "Invopop" not in reply.body.decode()
        statuses = [
            world.get(target, token=token).status for _ in range(10) for token in (TOK_A, TOK_B)
        ]
        assert 503 in statuses
    assert world.gateway.told("circuit_opened")[-1]["file_host"] == world.files.authority
    assert world.gateway.metric("circuit_open") == 0
    assert world.get("/x").status == 200


def test_explain_says_where_a_file_goes(world: World) -> None:
    """For every form; no key is named."""
    config = ["--config", str(world.gateway.config), "--caller", "billing"]
    environ = {"TEST_KEY_A": KEY_A, "TEST_KEY_B": KEY_A, "TEST_HS_SECRET": "x" * 32}
    for target in targets(world, "/a?h=1"):
        code, text = run(["explain", *config, "GET", target], environ)
        assert code == 0, text
        assert f"GET https://{world.files.authority}/a?h=1" in text
        assert "files.fetch" in text
        assert "none" in text
    code, text = run(["explain", *config, "GET", "/.files/evil.com/a"], environ)
    assert (code, "421" in text) == (1, True)


def test_an_aborted_chunked_upload(world: World) -> None:
    """It is counted in phase `request`, as one to Invopop is."""
    before = world.gateway.metric("client_disconnects_total", phase="request")
    connection = world.connect()
    path = f"/.files/{world.files.authority}/a.pdf"
    connection.send(request(f"PUT {path}", "Transfer-Encoding: chunked"))
    connection.send(b"%x\r\n%b\r\n" % (200_000, b"Z" * 200_000))
    eventually(world.files.open_connections)
    eventually(lambda: world.gateway.metric("requests_in_flight") >= 1)
    connection.close()
    eventually(
        lambda: world.gateway.metric("client_disconnects_total", phase="request") == before + 1
    )

"""Clients that speak HTTP/2: which of them are content with HTTP/1.1, and what the others meet."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.clients.known import NODE
from tests.integration.clients.matrix import Matrix
from tests.support.client_certificates import client_context
from tests.support.gateway import GatewayProcess, eventually
from tests.support.world import TOK_A

SHOWN = {"Authorization": f"Bearer {TOK_A}", "X-Request-Id": "h2"}


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """The gateways of the matrix."""
    with Matrix(tmp_path_factory.mktemp("http2"), tmp_path_factory.mktemp("go")) as matrix:
        yield matrix


def curl(matrix: Matrix, *options: str, tls: bool) -> tuple[int, str]:
    """Its exit code, and the version and status that it saw."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    where, more = matrix.tcp.url, ["-H", f"Authorization: Bearer {TOK_A}"]
    if tls:
        where = f"https://localhost:{matrix.mutual.port}"
        more = ["--cert", str(matrix.certificate), "--cacert", str(matrix.ca_file)]
    command = ["curl", "-sS", "-o", os.devnull, "-w", "%{http_version} %{http_code}", *more]
    done = subprocess.run(
        [*command, *options, "-H", "X-Request-Id: h2", where + "/x"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_curl_that_may_use_http_2(matrix: Matrix, tls: bool) -> None:
    """`Upgrade: h2c` is ignored, ALPN chooses http/1.1, and the request is served."""
    assert curl(matrix, "--http2", tls=tls) == (0, "1.1 200")


def test_curl_that_begins_with_http_2(matrix: Matrix) -> None:
    """Without asking first it gets 505, which it cannot read; the log says what it was."""
    code, _ = curl(matrix, "--http2-prior-knowledge", tls=False)
    assert code != 0
    eventually(lambda: refusals(matrix.tcp, "http2_preface"))


def test_curl_that_wants_http_2_over_tls(matrix: Matrix) -> None:
    """ALPN chooses http/1.1, and curl goes by that."""
    assert curl(matrix, "--http2-prior-knowledge", tls=True) == (0, "1.1 200")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_httpx_that_may_use_http_2(matrix: Matrix, tls: bool) -> None:
    """`http2=True` is served as HTTP/1.1."""
    where = f"https://localhost:{matrix.mutual.port}" if tls else matrix.tcp.url
    context = client_context(matrix.ca_file, matrix.certificate)
    with httpx.Client(http2=True, verify=context, trust_env=False) as client:
        reply = client.get(where + "/x", headers={} if tls else SHOWN)
    assert (reply.status_code, reply.http_version) == (200, "HTTP/1.1")


def test_httpx_that_knows_nothing_else(matrix: Matrix) -> None:
    """`http1=False` over plain TCP: an error of the protocol, and the log's line."""
    client = httpx.Client(http1=False, http2=True, trust_env=False)
    with client, pytest.raises(httpx.RemoteProtocolError):
        client.get(matrix.tcp.url + "/x", headers=SHOWN)
    eventually(lambda: refusals(matrix.tcp, "http2_preface"))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_node_http2(matrix: Matrix, tls: bool) -> None:
    """Node's module `http2` knows no other version, and says so."""
    where = f"https://localhost:{matrix.mutual.port}" if tls else matrix.tcp.url
    code = (
        "const session = require('http2').connect(process.argv[1], {rejectUnauthorized: false})\n"
        "session.on('error', e => { console.log(e.code); process.exit() })\n"
        "const request = session.request({':path': '/x'})\n"
        "request.on('error', () => {}).on('response', h => console.log(h[':status'])).end()"
    )
    done = subprocess.run(
        [NODE, "-e", code, where], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.strip() == "ERR_HTTP2_ERROR", done.stderr
    gateway = matrix.mutual if tls else matrix.tcp
    eventually(lambda: refusals(gateway, "http2_preface"))


def refusals(gateway: GatewayProcess, cause: str) -> list[object]:
    """The log's lines of requests refused for that."""
    return [one for one in gateway.events("exchange") if one.get("cause") == cause]

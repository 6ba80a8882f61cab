"""Unchanged clients: their base URL is http://api.invopop.com, and `HTTP_PROXY` is the gateway."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.integration.test_seed_examples import tool
from tests.support.certificates import Authority, server_context
from tests.support.connect_proxy import ConnectProxy
from tests.support.gateway import GatewayProcess
from tests.support.jwt import Issuer
from tests.support.scripted_origin import ScriptedOrigin
from tests.support.world import (
    AUDIENCE,
    ENVIRON,
    ISSUER,
    KEY_A,
    TOK_A,
    VAULT,
    World,
    fields,
    merged,
    request,
    settings,
)  # fmt: skip

SEED = Path(__file__).parent.parent / "seed"
BASE = "http://api.invopop.com"


class Invopop:
    """The gateway with its default upstream; an egress proxy leads to the scripted origin."""

    def __init__(self, directory: Path) -> None:
        authority = Authority(directory)
        self.origin = ScriptedOrigin(server_context(authority.certificate("api.invopop.com")))
        issuer = Issuer(directory, ISSUER, AUDIENCE)
        self.egress = ConnectProxy(int(self.origin.authority.rpartition(":")[2]))
        self.egress.__enter__()
        changes = {"upstream": {"url": "https://api.invopop.com",
                                "proxy": f"http://127.0.0.1:{self.egress.port}"}}  # fmt: skip
        configured = merged(settings(self.origin, authority.ca_file, issuer), changes)
        self.gateway = GatewayProcess(directory, configured, VAULT, ENVIRON)

    def proxy(self, credentials: str = f"billing:{TOK_A}@") -> dict[str, str]:
        """The environment of a client, and nothing else that names a proxy."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        url = f"http://{credentials}127.0.0.1:{self.gateway.port}"
        return {**kept, "http_proxy": url, "HTTP_PROXY": url, "NO_PROXY": "", "no_proxy": ""}


@pytest.fixture(scope="module")
def invopop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Invopop]:
    """One for all clients."""
    made = Invopop(tmp_path_factory.mktemp("invopop"))
    with made.gateway:
        yield made
    made.origin.hang_up()
    made.egress.__exit__()


def printed(command: list[str], environ: Mapping[str, str]) -> str:
    """What a client prints; it must end well."""
    done = subprocess.run(
        command, env=dict(environ), capture_output=True, timeout=20, text=True, check=False
    )
    assert done.returncode == 0, done
    return done.stdout


def check(invopop: Invopop, target: bytes) -> None:
    """The origin saw one request for `target`, with the tenant's key and no trace of a proxy."""
    (seen,) = invopop.origin.requests
    assert (seen.target, seen.get("host")) == (target, "api.invopop.com")
    assert seen.all("authorization") == [f"Bearer {KEY_A}"]
    assert not [name for name, _ in seen.headers if name.startswith("proxy-")]
    assert invopop.egress.asked[-1] == "api.invopop.com:443"


def test_curl(invopop: Invopop) -> None:
    """curl with `http_proxy`: a GET, and a POST that it asks to continue first."""
    invopop.origin.start_over()
    curl = [tool("curl"), "-sSf", "--max-time", "10"]
    out = printed([*curl, f"{BASE}/silo/v1/entries?limit=1"], invopop.proxy())
    assert out.encode() == ScriptedOrigin.echo
    check(invopop, b"/silo/v1/entries?limit=1")
    invopop.origin.start_over()
    post = ["-H", "Expect: 100-continue", "--data", '{"a":1}', f"{BASE}/silo/v1/entries"]
    printed([*curl, *post], invopop.proxy())
    check(invopop, b"/silo/v1/entries")
    assert invopop.origin.requests[0].body == b'{"a":1}'


def test_python_requests(invopop: Invopop) -> None:
    """requests with `HTTP_PROXY`: a session, its own Authorization replaced by the key."""
    invopop.origin.start_over()
    invopop.origin.answer(fields("200 OK", "Content-Length: 4") + b"true")
    program = (
        "import requests; s = requests.Session()\n"
        "s.headers['Authorization'] = 'Bearer its-own'\n"
        f"r = s.put('{BASE}/silo/v1/entries/1', json={{'a': 1}}, timeout=10)\n"
        "print(r.status_code, r.json(), r.headers.get('X-Gateway-Error'))\n"
    )
    assert printed([sys.executable, "-c", program], invopop.proxy()) == "200 True None\n"
    check(invopop, b"/silo/v1/entries/1")


def test_go(invopop: Invopop, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Go's net/http with `HTTP_PROXY`: the API reference's own program, unchanged."""
    cache = tmp_path_factory.getbasetemp().parent / "go-build-cache"
    binary = tmp_path_factory.mktemp("go") / "version"
    environ = {**invopop.proxy(), "GOCACHE": str(cache), "GOPROXY": "off", "GOFLAGS": "-mod=mod",
               "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}  # fmt: skip
    build = [tool("go"), "build", "-o", str(binary), "."]
    subprocess.run(build, cwd=SEED, env=environ, check=True, timeout=300)
    invopop.origin.start_over()
    invopop.origin.answer(fields("200 OK", "Content-Length: 7") + b'"1.2.3"')
    out = printed([str(binary), BASE, "its-own-token"], invopop.proxy())
    assert out == "1.2.3\n"
    check(invopop, b"/auth/version")


@pytest.mark.parametrize("credentials", ["", "billing:wrong@", "billing@", f"{TOK_A}:x@"])
def test_clients_without_a_valid_credential(invopop: Invopop, credentials: str) -> None:
    """407, which clients show as their proxy's refusal, and with its reason."""
    invopop.origin.start_over()
    command = [tool("curl"), "-sS", "-D", "-", "--max-time", "10", f"{BASE}/silo/v1/entries"]
    out = printed(command, invopop.proxy(credentials))
    assert out.startswith("HTTP/1.1 407 ")
    assert '\nproxy-authenticate: basic realm="invopop-gateway"\n' in out.lower()
    assert json.loads(out[out.index("{") :])["key"] == "unauthenticated"
    assert not invopop.origin.requests


@pytest.mark.parametrize(
    ("base", "told"), [("http://evil.example", "421"), ("http://api.invopop.com:8080", "421")]
)
def test_other_sites_are_not_served(invopop: Invopop, base: str, told: str) -> None:
    """A client that sends everything through its proxy gets no open proxy."""
    invopop.origin.start_over()
    command = [tool("curl"), "-sS", "-o", os.devnull, "-w", "%{http_code}", base]
    assert printed(command, invopop.proxy()) == told
    assert not invopop.origin.requests


def test_https_through_the_proxy_is_refused(invopop: Invopop) -> None:
    """CONNECT would hide the request from us: 405, so that the client says what is wrong."""
    environ = {**invopop.proxy(), "https_proxy": invopop.proxy()["http_proxy"]}
    command = [tool("curl"), "-sS", "-o", os.devnull, "-w", "%{http_connect}",
               "https://api.invopop.com/"]  # fmt: skip
    done = subprocess.run(
        command, env=environ, capture_output=True, timeout=20, text=True, check=False
    )
    assert (done.returncode != 0, done.stdout) == (True, "405")


def basic(text: str) -> str:
    """RFC 7617."""
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("field", ["Authorization", "Proxy-Authorization"])
@pytest.mark.parametrize("form", ["origin", "absolute"])
@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
def test_every_form_of_credential(world: World, form: str, scheme: str, field: str) -> None:
    """Both forms of target take both schemes in both fields; wrong ones get that form's status."""
    target = "/x" if form == "origin" else f"http://{world.origin.authority}/x"
    host = world.origin.authority
    for token, status in ((TOK_A, 200), ("wrong", 401 if form == "origin" else 407)):
        shown = f"{scheme} {token}" if scheme == "Bearer" else basic(f"any:{token}")
        raw = request(f"GET {target}", f"{field}: {shown}", host=host, token=None)
        assert world.exchange(raw).status == status

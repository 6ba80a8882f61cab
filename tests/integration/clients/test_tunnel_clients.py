"""Clients with `https://api.invopop.com` fixed in their code, unchanged, through a tunnel."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.certificates import server_context
from tests.support.connect_proxy import ConnectProxy
from tests.support.gateway import write_toml
from tests.support.tunnels import tunnel_settings
from tests.support.world import KEY_A, TOK_A, World, merged

API, SILO = "api.invopop.com", "silo.invopop.com"
RUBY = """
require "net/http"
def ask(request)
  uri = request.uri
  Net::HTTP.start(uri.host, uri.port, use_ssl: true) { |http| http.request(request) }
end
get = Net::HTTP::Get.new(URI("https://api.invopop.com/silo/v1/entries"))
get["Authorization"] = "Bearer an-sdks-own-key"
post = Net::HTTP::Post.new(URI("https://api.invopop.com/transform/v1/jobs"))
post.body = "x" * 100_000
file = Net::HTTP::Get.new(URI("https://silo.invopop.com/a/b.pdf?h=1"))
puts [get, post, file].map { |request| ask(request).code }.join(" ")
"""
PYTHON = """
import requests
with requests.Session() as session:
    session.headers["Authorization"] = "Bearer an-sdks-own-key"
    print(session.get("https://api.invopop.com/silo/v1/entries").status_code,
          session.post("https://api.invopop.com/transform/v1/jobs", data="x" * 100_000).status_code,
          session.get("https://silo.invopop.com/a/b.pdf?h=1").status_code)
"""
CURL = ["-sS", "-o", "/dev/null", "-w", "%{http_code} ", "--max-time", "10"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway whose way to Invopop leads, through a proxy, to the origin of the tests."""
    directory: Path = tmp_path_factory.mktemp("clients")
    world = World(directory, {"tunnel": tunnel_settings(directory, API, SILO)})
    certificate = world.authority.certificate(API, SILO)
    with ConnectProxy(int(world.origin.authority.rpartition(":")[2])) as proxy:
        way = f"http://127.0.0.1:{proxy.port}"
        upstream = {"url": f"https://{API}", "file_hosts": [SILO], "proxy": way}
        write_toml(world.gateway.config, merged(world.configured, {"upstream": upstream}))
        with world.origin.showing(server_context(certificate)), world:
            yield world


def ran(world: World, command: list[str]) -> str:
    """What a client prints that knows the gateway and its CA from the environment alone."""
    ca = str(world.gateway.directory / "tunnel-ca.pem")
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    proxy = f"http://any:{TOK_A}@127.0.0.1:{world.gateway.port}"
    environ: Mapping[str, str] = {
        "PATH": os.environ["PATH"], "HTTPS_PROXY": proxy, "https_proxy": proxy,
        "http_proxy": proxy,  # what Ruby's Net::HTTP reads, also for https://
        **dict.fromkeys(names, ca),
    }  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, env=environ, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("client", ["ruby", "python", "curl"])
def test_an_unchanged_client(world: World, client: str) -> None:
    """GET, a large POST, and a file: the tenant's key is sent, and none to the file's host."""
    commands = {
        "ruby": ["ruby", "-e", RUBY],
        "python": [sys.executable, "-c", PYTHON],
        "curl": ["curl", *CURL, f"https://{API}/silo/v1/entries",
                 "--next", *CURL, "--data", "x" * 100_000, f"https://{API}/transform/v1/jobs",
                 "--next", *CURL, f"https://{SILO}/a/b.pdf?h=1"],
    }  # fmt: skip
    if not shutil.which(commands[client][0]):
        pytest.skip(f"there is no {client} here")
    world.origin.start_over()
    assert ran(world, commands[client]) == "200 200 200"
    api, jobs, file = world.origin.requests
    for seen in (api, jobs):
        assert seen.all("authorization") == [f"Bearer {KEY_A}"]
        assert seen.get("host") == API
    assert len(jobs.body) == 100_000
    assert (file.get("host"), file.all("authorization")) == (SILO, [])
    assert file.target == b"/a/b.pdf?h=1"

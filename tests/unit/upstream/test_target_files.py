"""Which targets mean a file on another host, and which only look like one."""

import pytest

from gateway.errors import CallerError
from gateway.upstream.target import (
    Authority,
    FileHostNames,
    Target,
    authority_of,
    file_host_names,
    resolve,
)

UPSTREAM = authority_of("https://api.invopop.com")
SILO = b"silo.invopop.com"
NAMES = file_host_names(
    authority_of(f"https://{host}") for host in ("silo.invopop.com", "localhost:9443", "[::1]:99")
)


@pytest.mark.parametrize(
    ("target", "host", "raw"),
    [
        (b"/.files/silo.invopop.com/a/b.pdf?h=1", SILO, b"/a/b.pdf?h=1"),
        (b"/.files/silo.invopop.com", SILO, b"/"),
        (b"/.files/silo.invopop.com?h=1", SILO, b"/?h=1"),
        (b"/.files/SILO.Invopop.com./a", SILO, b"/a"),
        (b"/.files/silo.invopop.com:443/a", SILO, b"/a"),
        (b"/.files/silo.invopop.com:/a%2Fb;c/", SILO, b"/a%2Fb;c/"),
        (b"/.files/localhost:9443/a", b"localhost:9443", b"/a"),
        (b"/.files/localhost/a", b"localhost:9443", b"/a"),
        (b"/.files/[::1]:99/a", b"[::1]:99", b"/a"),
        (b"/.files/silo.invopop.com/.files/api.invopop.com/x", SILO, b"/.files/api.invopop.com/x"),
        (b"http://silo.invopop.com/a?h=1", SILO, b"/a?h=1"),
        (b"https://Silo.invopop.com.:443/a", SILO, b"/a"),
        (b"HTTP://silo.invopop.com:80", SILO, b"/"),
        (b"http://localhost:9443/a", b"localhost:9443", b"/a"),
        (b"http://silo.invopop.com/.files/api.invopop.com/a", SILO, b"/.files/api.invopop.com/a"),
        (b"http://api.invopop.com/.files/silo.invopop.com/a", SILO, b"/a"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST"])
def test_a_file(method: str, target: bytes, host: bytes, raw: bytes) -> None:
    """In proxy form, or by the prefix: the rest goes to its host byte for byte.

    Policy sees one path for all spellings of the host.
    """
    found = resolve(method, target, UPSTREAM, NAMES)
    assert (found.file_host, found.raw) == (host, raw)
    assert found.path == b"/.files/" + host + raw.partition(b"?")[0]
    assert found.proxy_form == (not target.startswith(b"/"))


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/.files/evil.com/a", 421),
        (b"/.files/api.invopop.com/a", 421),
        (b"/.files/silo.invopop.com:80x/a", 400),
        (b"/.files/silo.invopop.com:8443/a", 421),
        (b"/.files/silo.invopop.com.evil.com/a", 421),
        (b"/.files/silo.invopop.com..", 421),
        (b"/.files/silo.invopop.com;x/a", 421),
        (b"/.files/silo.invopop.com%2Fa", 421),
        (b"/.files/%73ilo.invopop.com/a", 421),
        (b"/.files/u@silo.invopop.com/a", 400),
        (b"/.files/u:p@evil.com/a", 400),
        (b"/.files/", 400),
        (b"/.files/?x", 400),
        (b"/.files", 400),
        (b"/.files?x", 400),
        (b"/.files//a", 400),
        (b"/.files/silo.invopop.com/../a", 400),
        (b"/.files/silo.invopop.com/%2e%2e/a", 400),
        (b"/.files/silo.invopop.com//a", 400),
        (b"http://u:p@silo.invopop.com/a", 400),
        (b"http://silo.invopop.com/..", 400),
        (b"http://silo.invopop.com:99/a", 421),
        (b"http://files.invopop.com/a", 421),
        (b"http://[::1]:98/a", 421),
    ],
)
def test_another_host_or_no_valid_target(target: bytes, status: int) -> None:
    """Only the hosts of the configuration; user information and ambiguous paths are malformed."""
    with pytest.raises(CallerError) as caught:
        resolve("GET", target, UPSTREAM, NAMES)
    assert caught.value.status == status


@pytest.mark.parametrize(
    "path",
    [
        b"/.FILES/silo.invopop.com/a",
        b"/%2efiles/silo.invopop.com/a",
        b"/%2Efiles",
        b"/%252efiles/silo.invopop.com/a",
        b"/%25252525252efiles/a",
        b"/.fi%6Ces/silo.invopop.com/a",
        b"/.files%2Fsilo.invopop.com/a",
        b"/.files%252Fsilo.invopop.com/a",
        b"/.files;x/silo.invopop.com/a",
        b"/.files%3Bx/silo.invopop.com/a",
        b"/.files%20/silo.invopop.com/a",
        b"/%20.files/a",
        b"/;x/.files/silo.invopop.com/a",
        b"/%20/.files/a",
        b"/%EF%BC%8Efiles/a",
        b"/.%EF%AC%81les/a",
        b"/%2F.files/a",
    ],
)
@pytest.mark.parametrize("form", [b"", b"http://api.invopop.com"])
def test_the_prefix_in_another_spelling(path: bytes, form: bytes) -> None:
    """Neither a file, nor a path of the upstream: it is refused, whoever may ask."""
    with pytest.raises(CallerError) as caught:
        resolve("GET", form + path, UPSTREAM, NAMES)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "path", [b"/silo/v1/.files/a", b"/x/%2efiles", b"/.filesystem/a", b"/files/a", b"/.file/s"]
)
def test_paths_that_only_resemble_the_prefix(path: bytes) -> None:
    """These are the upstream's, as every other path."""
    assert resolve("GET", path, UPSTREAM, NAMES) == Target(path, path, False)


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("target", [b"/.files/silo.invopop.com/a", b"http://silo.invopop.com/a"])
def test_other_methods(method: str, target: bytes) -> None:
    """405, with the methods that files have."""
    with pytest.raises(CallerError) as caught:
        resolve(method, target, UPSTREAM, NAMES)
    assert caught.value.status == 405
    assert caught.value.headers == [(b"allow", b"GET, HEAD, PUT, POST")]


def test_without_file_hosts_nothing_is_a_file() -> None:
    """The prefix still never reaches the upstream."""
    for target in (b"/.files/silo.invopop.com/a", b"http://silo.invopop.com/a"):
        with pytest.raises(CallerError) as caught:
            resolve("GET", target, UPSTREAM)
        assert caught.value.status == 421


def names(*hosts: str) -> FileHostNames:
    return file_host_names(authority_of(f"https://{host}") for host in hosts)


def test_a_port_may_be_left_out_unless_that_is_ambiguous() -> None:
    """443 is what no port means; else the only host of that name."""
    assert names("a:1")[b"a", None] == names("a:1")[b"a", 80] == b"a:1"
    assert names("a:1", "a")[b"a", None] == b"a"
    assert (b"a", None) not in names("a:1", "a:2")
    assert names("a:1", "a:80")[b"a", 80] == b"a:80"


def test_a_host_that_the_upstream_shares_is_told_apart_by_its_port() -> None:
    """Left out, it means the upstream."""
    upstream, files = Authority(b"localhost", 8443), names("localhost:9443")
    assert resolve("GET", b"http://localhost/a", upstream, files).file_host == b""
    assert resolve("GET", b"http://localhost:8443/a", upstream, files).file_host == b""
    assert resolve("GET", b"http://localhost:9443/a", upstream, files).file_host != b""

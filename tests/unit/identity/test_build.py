"""`build`: settings become an authenticator, or a list of everything wrong with their files."""

import json
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.errors import CallerError, Problem
from gateway.identity.build import build_authenticator
from gateway.identity.jwks_client import JwksClient
from gateway.identity.keys import from_document
from gateway.model import Peer
from gateway.settings.schema import Settings
from tests.support.certificates import Authority
from tests.support.identities import (
    AUDIENCE,
    ISSUER,
    build,
    ignore,
    inbound,
    refusal,
    settings_for,
    shows,
)
from tests.support.jwt import Issuer

URL = "https://id.internal/jwks"


def settings_of(*issuers: dict[str, Any]) -> Settings:
    """Settings with these issuers."""
    each = {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ("RS256",)}
    return Settings.model_validate({"issuers": tuple({**each, **issuer} for issuer in issuers)})


def problems_of(*issuers: dict[str, Any], secret: str | None = None) -> list[Problem]:
    """What is wrong with these issuers."""
    secrets = {} if secret is None else {ISSUER: secret}
    return build_authenticator(settings_of(*issuers), secrets, ignore)[1]


@pytest.mark.parametrize("key", ["jwks_file", "public_key_file"])
@pytest.mark.parametrize("text", [None, b"", b"garbage", b'{"keys":[]}', b"[" * 10_000])
def test_wrong_files(tmp_path: Path, key: str, text: bytes | None) -> None:
    """A file that is missing or holds no usable key is a problem with its path and setting."""
    file = tmp_path / "keys"
    if text is not None:
        file.write_bytes(text)
    (problem,) = problems_of({key: file, "algorithms": ("RS256", "ES256")})
    assert (problem.file, problem.key) == (str(file), f"issuers[0].{key}")
    found = (
        "something else"
        if text is not None
        else "a file that cannot be read (No such file or directory)"
    )
    empty = key == "jwks_file" and text == b'{"keys":[]}'
    assert problem.found == ("no usable key" if empty else found)
    assert (
        problem.expected
        == {
            "jwks_file": "a JSON Web Key Set (RFC 7517) with a key for RS256 or ES256",
            "public_key_file": "a public key in PEM with a key for RS256 or ES256",
        }[key]
    )


def test_key_of_another_kind(issuer: Issuer) -> None:
    """Keys must fit the issuer's algorithms."""
    (problem,) = problems_of({"public_key_file": issuer.public_key_file, "algorithms": ("ES256",)})
    assert problem.found == "no usable key"


def test_private_key_is_refused(issuer: Issuer, tmp_path: Path) -> None:
    """A private key has no place here, and is not quoted."""
    file = tmp_path / "private.pem"
    pem = issuer.rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(pem)
    (problem,) = problems_of({"public_key_file": file})
    assert problem.found == "a private key, which stays with the issuer"
    assert problem.expected == "a public key in PEM with a key for RS256"
    assert pem.decode().splitlines()[1] not in str(problem)


@pytest.mark.parametrize("secret", [None, "", "x" * 31])
def test_wrong_secret(secret: str | None) -> None:
    """A secret that is missing or short is a problem that does not show it."""
    issuer = {"secret": {"env": "S"}, "algorithms": ("HS256",)}
    (problem,) = problems_of(issuer, secret=secret)
    assert (problem.file, problem.key) == ("", "issuers[0].secret")
    if secret is None:
        wrong = ("no value", "an available secret")
    else:
        expected = "32 bytes for HS256, 48 for HS384, 64 for HS512, and no public key"
        wrong = ("an unsafe secret", expected)
    assert (problem.found, problem.expected) == wrong


def test_wrong_ca_and_bearer_file(tmp_path: Path) -> None:
    """What the fetches of remote keys need is read at once, too."""
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.write_bytes(b"")
    wrong = {
        "jwks_ca_file": ("no certificate", "CA certificates in PEM"),
        "jwks_bearer_file": ("no token", "a file with one token"),
    }
    for file in (missing, empty):
        for key, texts in wrong.items():
            problems = problems_of({"jwks_url": URL, key: file})
            assert problems == [Problem(str(file), f"issuers[0].{key}", *texts)]


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("billing", "no claim in braces, or stray braces"),
        ("{a}{b}", "two claims side by side"),
        ("{", "no claim in braces, or stray braces"),
    ],
)
def test_wrong_template(issuer: Issuer, template: str, found: str) -> None:
    """A template that makes no name of claims is a problem of the configuration file."""
    (problem,) = problems_of({"jwks_file": issuer.jwks_file, "caller_template": template})
    assert (problem.file, problem.key) == ("", "issuers[0].caller_template")
    assert problem.found == found
    assert problem.expected == (
        'claims in braces with text between them, such as "{namespace}/{serviceaccount}"'
    )


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Each problem of each issuer is in the list, under its own index."""
    wrong = {"jwks_file": tmp_path / "missing", "caller_template": "x"}
    other = {"issuer": "b", "public_key_file": tmp_path / "missing"}
    assert [problem.key for problem in problems_of(wrong, other)] == [
        "issuers[0].caller_template",
        "issuers[0].jwks_file",
        "issuers[1].public_key_file",
    ]


def test_remote_keys(tmp_path: Path) -> None:
    """Remote keys are fetched later: nothing is asked while building, and all are listed."""
    authority = Authority(tmp_path)
    (tmp_path / "token").write_text("t")
    gate = build(
        settings_of(
            {"jwks_url": URL},
            {"issuer": "https://k8s", "discovery": True, "jwks_ca_file": authority.ca_file,
             "jwks_bearer_file": tmp_path / "token"},
        )
    )  # fmt: skip
    assert gate.issuers() == ((ISSUER, False, False), ("https://k8s", False, False))


def test_remote_keys_are_fetched_with_verification(tmp_path: Path) -> None:
    """With a CA of its own or without: certificates and host names are always verified."""
    own = {"issuer": "b", "jwks_url": URL, "jwks_ca_file": Authority(tmp_path).ca_file}
    gate = build(settings_of({"jwks_url": URL}, own))
    fetches = [getattr(keys._fetch, "args", [None])[0] for keys in gate.remote]
    clients = [getattr(fetch, "__self__", None) for fetch in fetches]
    for client in clients:
        assert isinstance(client, JwksClient)
        assert client.tls.verify_mode is ssl.CERT_REQUIRED
        assert client.tls.check_hostname
        assert client.tls.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert [getattr(client, "issuer", "") for client in clients] == [ISSUER, "b"]


def test_without_a_file_the_system_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for Invopop and for stores: `SSL_CERT_FILE` stands for the system's authorities."""
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path).ca_file))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    (keys,) = build(settings_of({"jwks_url": URL})).remote
    client = getattr(getattr(keys._fetch, "args", [None])[0], "__self__", None)
    assert isinstance(client, JwksClient)
    assert len(client.tls.get_ca_certs()) == 1


def test_reload_keeps_remote_keys(issuer: Issuer) -> None:
    """An issuer that has not changed keeps its keys over a reload; a changed one starts anew."""
    document = json.dumps(issuer.jwks()).encode()
    old = build(settings_of({"jwks_url": URL}, {"issuer": "b", "jwks_url": URL}))
    for keys in old.remote:
        keys._succeed(from_document(document, ("RS256",)), None)
    new = build(
        settings_of({"jwks_url": URL}, {"issuer": "b", "jwks_url": URL + "2"}), previous=old
    )
    assert [len(keys.current) for keys in new.remote] == [1, 0]
    assert new.remote[0].current is old.remote[0].current


@pytest.mark.parametrize(
    ("host", "known"),
    [(b"gw.corp.example", True), (b"api.invopop.test", True), (b"gw.evil.example", False)],
)
def test_names_that_are_the_gateways_own(host: bytes, known: bool) -> None:
    """Invopop's name, which leads here, and those that the operator lists, in any letter case."""
    settings = Settings.model_validate(
        {
            "listen": {"host_names": ("GW.corp.example",)},
            "upstream": {"url": "https://api.invopop.test:8443"},
            "callers": {"local": {"networks": ("127.0.0.1/32",), "tenants": ("acme",)}},
        }
    )
    gate, problems = build_authenticator(settings, {}, ignore)
    assert not problems
    asked = inbound(Peer("127.0.0.1"), (b"host", host))
    if known:
        assert gate.authenticate(asked, None, 0.0).name == "local"
    else:
        with pytest.raises(CallerError, match="browser_refused"):
            gate.authenticate(asked, None, 0.0)


@pytest.mark.parametrize("single", [True, False])
def test_single_audience(issuer: Issuer, single: bool) -> None:
    """The issuer's setting decides whether a token may be for others as well."""
    gate = build(settings_for(issuer, single_audience=single))
    token = issuer.token(issuer.claims("billing", aud=[AUDIENCE, "account"]))
    now = time.time()
    if single:
        assert refusal(shows, gate, token, now).cause == "audience"
    else:
        assert shows(gate, token, now).name == "billing"

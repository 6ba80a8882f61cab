"""Mistakes that people make in the two files and in variables: `check` names each, and what to do.

The table is `mistakes.toml`.
"""

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from typer.testing import CliRunner

from gateway.cli import build, tunnel_ca
from tests.support.gateway import token_hash
from tests.support.jwt import Issuer

TABLE = tomllib.loads(Path(__file__).with_name("mistakes.toml").read_text())["mistake"]
MISTAKES = {one["name"]: one for one in TABLE}
HASH = token_hash("a token")
GATEWAY = {
    "upstream.url": '"https://localhost:9"',
    "callers.billing.tokens": '["HASH"]',
    "callers.billing.tenants": '["acme"]',
    "callers.billing.allow": '["silo.*"]',
}
VAULT = {"tenants.acme.key": '{ env = "ACME_KEY" }'}
KEY = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLW9mLWtleQ"
ENVIRON = {
    "ACME_KEY": KEY,
    "SHORT": "tooshort",
    "EMPTY": "",
    "TWO_LINES": "a-key-of-some-length\nX: y",
    "BLANKS": "a key with blanks",
}
ALSO_BY_THE_PROGRAM = ("port as text", "CA missing", "variable unset", "YAML", "file empty",
                       "variable misspelt", "only CA without a CA")  # fmt: skip
# The parser's own words, and where it noticed, differ between versions of Python.
SYNTAX = re.compile(r"(?:: line [0-9, a-z]+|: end of document)?: found a syntax error: .*;")
LINE = re.compile(r": line [0-9]+: ")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with what the settings name."""
    directory = tmp_path_factory.mktemp("mistakes")
    authority, key = trustme.CA(), ec.generate_private_key(ec.SECP256R1())
    leaf = authority.issue_cert("localhost")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tunnel_ca, "LIFE", datetime.timedelta(minutes=-30))
        expired, _ = tunnel_ca.new_authority(["localhost"])

    def pem(encryption: KeySerializationEncryption) -> bytes:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    for name, content in {
        "cert.pem": leaf.cert_chain_pems[0].bytes(),
        "key.pem": leaf.private_key_pem.bytes(),
        "ca.pem": authority.cert_pem.bytes(),
        "ca-key.pem": authority.private_key_pem.bytes(),
        "other-key.pem": pem(NoEncryption()),
        "locked-key.pem": pem(BestAvailableEncryption(b"x")),
        "expired-ca.pem": expired,
        "text.txt": b"just text\n",
        "empty.json": b"{}",
        "empty.key": b"",
        "binary.key": b"\xff\xfe\xff",
        "lines.key": b"a-key-of-some-length-1\nb\n",
    }.items():
        (directory / name).write_bytes(content)
        (directory / name).chmod(0o600)
    issuer = Issuer(directory, "https://id.internal", "gw")
    shutil.copy(issuer.jwks_file, directory / "key-set.json")
    shutil.copy(issuer.public_key_file, directory / "public.pem")
    return directory


def write(files: Path, mistake: Mapping[str, Any]) -> Path:
    """Both files with the mistake in them; the first one's path."""
    for name, usual in (("gateway", GATEWAY), ("vault", VAULT)):
        settings = {**usual, **mistake.get(name, {})}
        lines = [f"{key} = {value}\n" for key, value in settings.items() if value]
        lines = [line.replace("HASH", HASH) for line in lines]
        raw = mistake.get(f"{name}_file")
        content = "".join(lines).encode() if raw is None else raw.encode("latin-1")
        (path := files / f"{name}.toml").write_bytes(content)
        path.chmod(mistake.get(f"{name}_mode", 0o600))
    return files / "gateway.toml"


def told(files: Path, report: Mapping[str, Any]) -> list[str]:
    """Errors and warnings, each on a line, without what differs from machine to machine."""
    lines = []
    for error in report["errors"]:
        where = ": ".join(filter(None, (Path(error["file"]).name, error["key"])))
        lines.append(f"{where}: found {error['found']}; expected {error['expected']}")
    lines += [f"warning {text}" for text in report.get("warnings", [])]
    lines = [line.replace(str(files), "DIR").replace(files.name, "DIR") for line in lines]
    return [LINE.sub(": ", SYNTAX.sub(": found a syntax error;", line)) for line in lines]


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(files: Path, name: str) -> None:
    """Neither a traceback nor silence: a message, in words that say what is right."""
    mistake = MISTAKES[name]
    path = write(files, mistake)
    environ = {**ENVIRON, **mistake.get("environment", {})}
    command = ["check", "--json", "--config", str(path)]
    done = CliRunner().invoke(build(), command, env=environ, catch_exceptions=False)
    report = json.loads(done.stdout)
    assert told(files, report) == mistake["told"]
    assert (done.exit_code, report["ok"]) == ((1, False) if report["errors"] else (0, True))
    assert KEY not in done.output


def test_nothing_is_said_of_what_is_right(files: Path) -> None:
    """The configuration that the mistakes are made in."""
    path = write(files, {})
    done = CliRunner().invoke(build(), ["check", "--json", "--config", str(path)], env=ENVIRON)
    assert told(files, json.loads(done.stdout)) == []


def test_there_are_enough() -> None:
    """At least 150, and no two of one name."""
    assert len(MISTAKES) == len(TABLE) >= 150


@pytest.mark.parametrize("name", ALSO_BY_THE_PROGRAM)
def test_the_program_refuses_to_serve(files: Path, name: str) -> None:
    """One readable block on stderr, exit code 1, and nothing listens."""
    mistake = MISTAKES[name]
    path = write(files, mistake)
    environ = {**ENVIRON, **mistake.get("environment", {}), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", "--config", str(path)],
        capture_output=True, text=True, env=environ, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, "listening" in done.stdout) == (1, False), done.stderr
    assert done.stderr.startswith("The configuration is refused: ")
    assert mistake["told"][0].partition("; expected ")[2] in done.stderr
    assert "Traceback" not in done.stderr

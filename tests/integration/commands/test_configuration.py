"""A wrong configuration never starts: exit 1, one readable list, and no secret in it."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway import __version__, is_compiled
from gateway.cli import build
from tests.support.gateway import run, token_hash, write_toml
from tests.support.jwt import Issuer
from tests.support.world import (
    AUDIENCE,
    ENVIRON,
    HS_SECRET,
    ISSUER,
    KEY_A,
    SECRETS,
    TOK_A,
    VAULT,
    merged,
)

Table = dict[str, Any]


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """The issuer whose files the configurations name."""
    return Issuer(tmp_path_factory.mktemp("issuer"), ISSUER, AUDIENCE)


def base(issuer: Issuer) -> Table:
    """A small configuration with nothing wrong in it."""
    return {
        "listen": {"port": 0},
        "admin": {"port": 0},
        "upstream": {"url": "https://localhost:9"},
        "issuers": [{"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["RS256"],
                     "jwks_file": str(issuer.jwks_file)}],
        "callers": {"billing": {"tokens": [token_hash(TOK_A)], "tenants": ["acme"]}},
    }  # fmt: skip


def written(directory: Path, config: Table, vault: Any = VAULT) -> str:
    """Writes both files; the path of the first."""
    write_toml(directory / "vault.toml", vault)
    return str(write_toml(directory / "gateway.toml", config))


def check(path: str, **environ: str) -> tuple[int, str]:
    """What `check` says of a configuration: its exit code and all its output.

    In this process, because starting one costs a second; `serve` below is the real program.
    """
    done = CliRunner().invoke(
        build(),
        ["check", "--config", path],
        env={**ENVIRON, **environ},
        catch_exceptions=False,
    )
    return done.exit_code, done.output


def refused(code: int, output: str, *words: str) -> None:
    """Exit 1, every expected word, one block, no traceback, no secret."""
    assert code == 1, output
    for word in words:
        assert word in output, output
    assert "Traceback" not in output
    for secret in SECRETS:
        assert secret not in output


ISSUER_KEYS = {"issuer": ISSUER, "audience": AUDIENCE}
WRONG: dict[str, tuple[Table, tuple[str, ...]]] = {
    "http upstream": ({"upstream": {"url": "http://localhost"}}, ("upstream.url", "https")),
    "userinfo": ({"upstream": {"url": f"https://u:{TOK_A}@localhost"}}, ("upstream.url",)),
    "upstream path": ({"upstream": {"url": "https://localhost/v1"}}, ("upstream.url",)),
    "upstream query": ({"upstream": {"url": "https://localhost?a"}}, ("upstream.url",)),
    "upstream fragment": ({"upstream": {"url": "https://localhost#a"}}, ("upstream.url",)),
    "upstream is ourselves": (
        {"listen": {"port": 8585}, "upstream": {"url": "https://127.0.0.1:8585"}},
        ("upstream.url",),
    ),
    "unknown section": ({"listn": {}}, ("listn", "listen")),
    "unknown key": ({"listen": {"prot": 1}}, ("listen.prot", "port")),
    "unknown key in a caller": ({"callers": {"billing": {"token": []}}}, ("billing", "tokens")),
    "port too high": ({"listen": {"port": 70_000}}, ("listen.port",)),
    "port as text": ({"listen": {"port": "8585"}}, ("listen.port",)),
    "same ports": ({"listen": {"port": 8585}, "admin": {"port": 8585}}, ("admin.port",)),
    "negative timeout": ({"listen": {"header_timeout": -1}}, ("listen.header_timeout",)),
    "zero timeout": ({"upstream": {"read_timeout": 0}}, ("upstream.read_timeout",)),
    "endless timeout": ({"upstream": {"read_timeout": float("inf")}}, ("read_timeout",)),
    "NaN timeout": ({"upstream": {"read_timeout": float("nan")}}, ("read_timeout",)),
    "boolean as text": ({"vault": {"strict": "false"}}, ("vault.strict",)),
    "boolean as number": ({"upstream": {"ca_only": 0}}, ("upstream.ca_only",)),
    "missing CA": ({"upstream": {"ca_file": "nowhere.pem"}}, ("upstream.ca_file",)),
    "size": ({"limits": {"max_body": "32 potatoes"}}, ("limits.max_body",)),
    "level": ({"log": {"level": "loud"}}, ("log.level", "info")),
    "token in clear": ({"callers": {"billing": {"tokens": [TOK_A]}}}, ("callers.billing.tokens",)),
    "hash of nothing": (
        {"callers": {"billing": {"tokens": [token_hash("")]}}}, ("callers.billing.tokens",),
    ),
    "equal tokens": (
        {"callers": {"ledger": {"tokens": [token_hash(TOK_A)]}}}, ("ledger", "billing"),
    ),
    "overlapping networks": (
        {"callers": {"a": {"networks": ["10.0.0.0/8"]}, "b": {"networks": ["10.0.0.0/8"]}}},
        ("networks",),
    ),
    "no network": ({"callers": {"billing": {"networks": ["127.0.0.300"]}}}, ("networks",)),
    "glob of nothing": (
        {"callers": {"billing": {"allow": ["silo.entires.*"]}}}, ("callers.billing.allow", "silo"),
    ),
    "pattern": ({"callers": {"billing": {"deny": ["FETCH /x"]}}}, ("callers.billing.deny",)),
    "unknown issuer": ({"callers": {"billing": {"issuers": ["https://x"]}}}, ("issuers",)),
    "no algorithms": ({"issuers": [{**ISSUER_KEYS, "algorithms": []}]}, ("algorithms",)),
    "algorithm none": ({"issuers": [{**ISSUER_KEYS, "algorithms": ["none"]}]}, ("algorithms",)),
    "no keys": ({"issuers": [{**ISSUER_KEYS, "algorithms": ["RS256"]}]}, ("issuers[0]",)),
    "missing key set": (
        {"issuers": [{**ISSUER_KEYS, "algorithms": ["RS256"], "jwks_file": "nowhere.json"}]},
        ("jwks_file",),
    ),
    "key set over http": (
        {"issuers": [{**ISSUER_KEYS, "algorithms": ["RS256"], "jwks_url": "http://id/jwks"}]},
        ("jwks_url", "https"),
    ),
    "HS and RS": (
        {"issuers": [{**ISSUER_KEYS, "algorithms": ["HS256", "RS256"],
                      "secret": {"env": "TEST_HS_SECRET"}}]},
        ("algorithms",),
    ),
    "short secret": (
        {"issuers": [{**ISSUER_KEYS, "algorithms": ["HS256"], "secret": {"env": "TEST_SHORT"}}]},
        ("secret",),
    ),
    "missing secret": (
        {"issuers": [{**ISSUER_KEYS, "algorithms": ["HS256"], "secret": {"env": "TEST_NONE"}}]},
        ("secret", "TEST_NONE"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_settings(issuer: Issuer, tmp_path: Path, name: str) -> None:
    """Case 184: each is found before anything listens, and named by its key path."""
    changes, words = WRONG[name]
    config = merged(base(issuer), changes)
    refused(*check(written(tmp_path, config), TEST_SHORT=HS_SECRET[:10]), *words)


WRONG_VAULTS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "two sources": ({"acme": {"key": {"env": "A", "file": "b"}}}, ("acme",)),
    "no source": ({"acme": {"key": {}}}, ("acme",)),
    "unknown source": ({"acme": {"key": {"evn": "A"}}}, ("acme", "env")),
    "key as text": ({"acme": {"key": KEY_A}}, ("acme",)),
    "unset variable": ({"acme": {"key": {"env": "TEST_NONE"}}}, ("acme", "TEST_NONE")),
    "missing file": ({"acme": {"key": {"file": "nowhere"}}}, ("acme",)),
    "reserved name": ({"other": {"key": {"env": "TEST_KEY_A"}}}, ("other",)),
    "malformed name": ({"../x": {"key": {"env": "TEST_KEY_A"}}}, ("../x",)),
    "workspace": (
        {"acme": {"key": {"env": "TEST_KEY_A"}, "workspace": "no uuid"}}, ("workspace",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_VAULTS)
def test_wrong_vault(issuer: Issuer, tmp_path: Path, name: str) -> None:
    """Case 184: so it is with the vault file."""
    tenants, words = WRONG_VAULTS[name]
    path = written(tmp_path, base(issuer), {"tenants": tenants})
    refused(*check(path), "vault.toml", *words)


def test_value_in_an_open_file(issuer: Issuer, tmp_path: Path) -> None:
    """A key in the vault file itself needs that file closed to others."""
    path = written(tmp_path, base(issuer), {"tenants": {"acme": {"key": {"value": KEY_A}}}})
    code, output = check(path)
    assert code == 0, output
    (tmp_path / "vault.toml").chmod(0o644)
    refused(*check(path), "vault.toml")


def test_serve_refuses_alike(issuer: Issuer, tmp_path: Path) -> None:
    """`serve` finds what `check` finds: everything in one run, nothing listening meanwhile."""
    config = merged(base(issuer), {"listen": {"prot": 1, "header_timeout": -1}})
    tenants = {"acme": {"key": {"env": "TEST_NONE"}}}
    path = written(tmp_path, config, {"tenants": tenants})
    code, output = run(["serve", "--config", path], ENVIRON)
    refused(code, output, "gateway.toml", "listen.prot", "listen.header_timeout", "TEST_NONE")
    assert "listening" not in output


def test_no_file(tmp_path: Path) -> None:
    """A configuration that is not there is named."""
    refused(*run(["serve", "--config", str(tmp_path / "none.toml")]), "none.toml")


@pytest.mark.parametrize("text", ["listen = [", "\0", "a = 1\na = 2", "[listen]\nport = "])
def test_no_toml(tmp_path: Path, text: str) -> None:
    """Nor does a file start that is no TOML; the message says where."""
    (tmp_path / "gateway.toml").write_text(text)
    refused(*check(str(tmp_path / "gateway.toml")), "gateway.toml")


OVERRIDES = {
    "UPSTREAM__URL": ("http://x", "UPSTREAM__URL"),
    "UPSTREAM__ULR": ("https://x", "ULR"),
    "CALLERS__X__TOKENS": ("[]", "CALLERS"),
    "LISTEN__PORT": ("70000", "LISTEN__PORT"),
    "VAULT__STRICT": ("perhaps", "VAULT__STRICT"),
}


@pytest.mark.parametrize("name", OVERRIDES)
def test_wrong_override(issuer: Issuer, tmp_path: Path, name: str) -> None:
    """Case 185: a variable that is wrong, or names nothing that it may set, is an error."""
    value, word = OVERRIDES[name]
    refused(*check(written(tmp_path, base(issuer)), **{f"INVOPOP_GATEWAY__{name}": value}), word)


def test_override_wins(issuer: Issuer, tmp_path: Path) -> None:
    """Case 185: what a variable says stands for what the file says."""
    path = written(tmp_path, merged(base(issuer), {"upstream": {"url": "http://x"}}))
    code, output = check(path, INVOPOP_GATEWAY__UPSTREAM__URL="https://x")
    assert code == 0, output


@pytest.mark.parametrize(
    ("listen", "told"),
    [
        ({"port": None}, ("listen.port", "Address already in use")),
        ({"host": "192.0.2.1"}, ("listen.host", "Cannot assign requested address")),
        ({"socket": "/nowhere/gw.sock"}, ("listen.socket", "No such file")),
    ],
)
def test_an_address_that_cannot_be_had(
    world: Any, tmp_path: Path, issuer: Issuer, listen: Table, told: tuple[str, str]
) -> None:
    """Case 184: the file, the key and the reason, in one block."""
    if listen == {"port": None}:
        listen = {"port": world.gateway.port}
    path = written(tmp_path, {**base(issuer), "listen": listen})
    code, output = run(["serve", "--config", path], ENVIRON)
    refused(code, output, f"\n{path}\n  {told[0]}  (line ", told[1])


def test_wrong_usage() -> None:
    """Wrong usage is 2, told from a finding."""
    assert run(["serve", "--nonsense"])[0] == 2
    assert run(["sandbox", "--port", "70000"])[0] == 2
    assert CliRunner().invoke(build(), ["nonsense"]).exit_code == 2


def test_version() -> None:
    """`--version` names the program and its version, and says so if it is the compiled form."""
    form = " (compiled)" if is_compiled() else ""
    assert run(["--version"]) == (0, f"invopop-gateway {__version__}{form}\n")

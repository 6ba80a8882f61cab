"""A key pasted anywhere into the configuration is in no output: commands, log, audit log, page."""

import base64
import random
import signal
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import GatewayProcess, eventually, run, toml, write_toml
from tests.unit.settings.test_no_secret_shown import GATEWAY_PLACES, VAULT_PLACES, Place

_RANDOM = random.Random()  # another set of secrets in each run
_LETTERS = string.ascii_letters + string.digits


class Pasted:
    """Secrets of every usual form, each different from all others; `all` are those given out."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def word(self) -> str:
        """One that may stand where a name does, and that no prefix gives away."""
        kind = len(self.all) % 3
        length = _RANDOM.choice([24, 32, 43])
        alphabet = [_LETTERS, string.hexdigits[:16], _LETTERS + "-_"][kind]
        return self._kept("k" + "".join(_RANDOM.choices(alphabet, k=length)))

    def any(self) -> str:
        """One of any form."""
        made = [
            f"sk_{_RANDOM.randbytes(16).hex()}",
            f"igw_{base64.urlsafe_b64encode(_RANDOM.randbytes(32)).decode().rstrip('=')}",
            f"eyJhbGciOiJ{_RANDOM.randbytes(9).hex()}.eyJ{_RANDOM.randbytes(20).hex()}.c2ln",
            base64.b64encode(_RANDOM.randbytes(32)).decode(),
            f"{_RANDOM.randbytes(4).hex()}-{_RANDOM.randbytes(4).hex()}-{_RANDOM.randbytes(8).hex()}",
        ]
        return self._kept(made[len(self.all) % len(made)])

    def _kept(self, secret: str) -> str:
        self.all.append(secret)
        return secret


def valid(pasted: Pasted, directory: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings and a vault that are in order, with a secret wherever any text is."""
    word = pasted.word
    tenant, issuer = word(), f"https://id.internal/{word()}"
    (directory / "key.txt").write_text("key-of-the-tenant")
    (directory / "key.txt").chmod(0o644)
    settings = {
        "listen": {"port": 0, "placeholder_tokens": [word()], "host_names": [word()]},
        "admin": {"port": 0},
        "upstream": {"url": "https://127.0.0.1:1"},
        "audit": {"file": "audit.log"},
        "issuers": [
            {
                "issuer": issuer, "audience": word(), "algorithms": ["RS256"],
                "jwks_url": f"https://127.0.0.1:1/{word()}", "caller_claim": word(),
                "tenant_claim": word(),
            }
        ],
        "callers": {
            "billing": {
                "tenants": [tenant], "issuers": [issuer],
                "allow": ["* /**", f"GET /{word()}"], "deny": [f"POST /{word()}/*"],
            },
            word(): {"tenants": [word(), f"{word()}-*"]},
        },
        "vault": {"strict": False, "openbao": {"url": "https://127.0.0.1:1", "namespace": word(),
                  "approle": {"role_id": word(), "secret_id": {"file": word()}}}},
    }  # fmt: skip
    tenants = {
        tenant: {"key": {"file": "key.txt"}, "previous": {"file": "key.txt"}},
        word(): {"key": {"env": word().replace("-", "_")}, "workspace": word()},
        word(): {"key": {"openbao": f"secret/{word()}", "field": word()}, "workspace": word()},
        word(): {"key": {"file": f"keys/{word()}"}},
        word(): {"key": {"value": word()}},
    }
    return settings, {"tenants": tenants}


def broken(pasted: Pasted, places: list[Place]) -> Iterator[str]:
    """A document that has a secret in each of these places, as far as they go together."""
    tree: dict[str, Any] = {}
    for place in places:
        _paste(tree, place, pasted)
    return (f"{toml(name)} = {toml(value)}\n" for name, value in tree.items())


def _paste(table: dict[str, Any], place: Place, pasted: Pasted) -> None:
    for at, part in enumerate(place):
        name = pasted.any() if part == "%" else str(part)
        rest = place[at + 1 :]
        if not rest or isinstance(rest[0], int):
            table.setdefault(name, [pasted.any()] if rest else pasted.any())
            return
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        table = inner


def everything(directory: Path, gateway: GatewayProcess) -> str:
    """All that the running program has said and says now, and its audit log."""
    pages = [gateway.admin(path)[1].decode() for path in ("/", "/status", "/readyz")]
    audit = (directory / "audit.log").read_text()
    return "\n".join([*gateway.lines(), *pages, audit])


def commands(config: Path) -> str:
    """What the commands that read the configuration say of it."""
    explain = ["explain", "--caller", "billing", "GET", "/silo/v1/entries", "--config", str(config)]
    asked = [["check", "--config", str(config), *more] for more in ([], ["--json"], ["--strict"])]
    return "\n".join(run(arguments)[1] for arguments in (*asked, explain))


def shown(pasted: Pasted, said: str) -> list[str]:
    """The lines of a text in which a secret occurs, also in part."""
    parts = [part for one in pasted.all for part in (one[:20], one[-20:])]
    lines = said.splitlines()
    return [line for line in lines if any(part in line for part in parts)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the configuration lies."""
    return tmp_path


def test_in_no_output(directory: Path) -> None:
    """Of names and texts that are valid, and of a version in which everything is a secret."""
    pasted = Pasted()
    settings, vault = valid(pasted, directory)
    with GatewayProcess(directory, settings, vault) as gateway:
        assert "key.txt" in (said := commands(gateway.config))
        assert shown(pasted, said) == []
        assert shown(pasted, said := everything(directory, gateway)) == []
        assert said.count("others may read") >= 2 * 3  # both slots, in the log and on both pages
        whole = list(broken(pasted, [place for place in GATEWAY_PLACES if place]))
        gateway.config.write_text("".join(whole))
        gateway.signal(signal.SIGHUP)
        eventually(lambda: gateway.metric("config_last_reload_successful") == 0)
        vault_file = directory / "vault.toml"
        write_toml(gateway.config, settings)
        vault_file.write_text("".join(broken(pasted, VAULT_PLACES)))
        refused = gateway.told("config_reload", 2)
        assert shown(pasted, everything(directory, gateway)) == []
        assert shown(pasted, commands(gateway.config)) == []
    assert ["toml" in str(event["problems"]) for event in refused] == [True, True]

"""Nothing but chosen words and numbers can be on the status page."""

import dataclasses
import json
from datetime import date
from pathlib import Path
from typing import Literal, get_args, get_origin

import orjson
import pytest

from gateway.admin.configuration import configuration, issuers
from gateway.admin.history import History, RecentEvents
from gateway.admin.view import Status
from gateway.events import ConfigReloaded, Events
from gateway.settings.load import Loaded
from gateway.settings.schema import Settings
from gateway.settings.vault_file import VaultFile
from tests.support.caller_rows import rows_of
from tests.support.example_status import PLAIN, leaves_of, rows_within, status_of

CANARY = "canary-2b1f"
CANARY_HASH = "c0ffee" + "0" * 58


@pytest.mark.parametrize("kind", sorted(set(rows_within(Status)), key=repr))
def test_rows_are_frozen_and_hold_words_and_numbers_only(kind: type) -> None:
    """No field can hold a secret, a path, a dictionary or a settings object."""
    assert dataclasses.fields(kind)
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__dict__" not in dir(kind)
    for name, leaf in leaves_of(kind):
        words = get_args(leaf) if get_origin(leaf) is Literal else ()
        assert leaf in PLAIN or {type(word) for word in words} == {str}, (kind, name)


def settings() -> Settings:
    """As many secrets, hashes, directories and tokens as a configuration can hold."""
    hidden = {"value": CANARY}
    return Settings.model_validate(
        {
            "listen": {
                "socket": f"/run/{CANARY}/gateway.sock",
                "placeholder_tokens": [CANARY],
            },
            "upstream": {"ca_file": f"/etc/{CANARY}/ca.pem"},
            "vault": {
                "file": f"/etc/{CANARY}/vault.toml.age",
                "identity": hidden,
                "openbao": {"url": "https://bao.internal", "token": hidden},
            },
            "issuers": [
                {"issuer": "https://a", "audience": "us", "algorithms": ["HS256"],
                 "secret": hidden},
                {"issuer": "https://b", "audience": "us", "algorithms": ["RS256"],
                 "jwks_url": f"https://b/keys?token={CANARY}"},
                {"issuer": "https://c", "audience": "us", "algorithms": ["RS256"],
                 "jwks_file": f"/etc/{CANARY}/jwks.json"},
            ],
            "callers": {
                "billing": {
                    "tokens": [{"hash": f"sha256:{CANARY_HASH}", "expires": date(2030, 1, 2)}],
                    "tenants": ["acme"],
                }
            },
            "limits": {"storage": "redis://cache:6379/0", "storage_password": hidden,
                       "requests_per_second": 5},
        },
        context={"directory": Path("/")},
    )  # fmt: skip


def loaded(*warnings: str) -> Loaded:
    """Those settings, as if they had been read."""
    file = Path(f"/etc/{CANARY}/gateway.toml")
    vault = VaultFile(tenants={})
    return Loaded(settings(), vault, file, settings().vault.file, warnings)


def test_of_a_configuration_full_of_secrets_none_is_told() -> None:
    """No value, token, hash, directory or query of an address is in any row made of settings."""
    events, recent_events = Events(), RecentEvents()
    recent_events.subscribe(events)
    problem = f"/etc/{CANARY}/gateway.toml: upstream.ca_file: found /opt/{CANARY}/ca.pem"
    events.emit(ConfigReloaded("failure", (problem,)))
    rows = (
        configuration(loaded(f"/etc/{CANARY}/vault.toml.age: no tenants"), recent_events),
        rows_of(settings(), History(), 0.0),
        issuers(settings(), (), recent_events),
    )
    told = repr(rows)
    assert CANARY not in told
    assert CANARY_HASH not in told
    assert "gateway.toml: upstream.ca_file: found ca.pem" in told
    assert "1 token, first ends 2030-01-02" in told
    assert "vault.toml.age: no tenants" in told


def test_an_address_keeps_its_path() -> None:
    """Only the directories of files are cut from what is told, not the parts of a URL."""
    made = configuration(loaded("https://id.internal/keys/x.json answers 404"), RecentEvents())
    assert made.warnings == ("https://id.internal/keys/x.json answers 404",)


def test_many_problems_are_cut_short() -> None:
    """A page stays readable however much is wrong."""
    events, recent_events = Events(), RecentEvents()
    recent_events.subscribe(events)
    events.emit(ConfigReloaded("failure", tuple(map(str, range(100)))))
    problems = configuration(loaded(), recent_events).problems
    assert len(problems) == 21
    assert problems[-1] == "and 80 more: see the log"


def test_json_has_every_field() -> None:
    """`/status` is the page's own data, row for row."""
    status = status_of("x")
    assert json.loads(orjson.dumps(status)) == json.loads(json.dumps(dataclasses.asdict(status)))

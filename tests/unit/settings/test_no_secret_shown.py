"""A secret in any place of either file is in nothing that the gateway says about the files."""

import base64
import random
import uuid
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, Final, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.dataclasses import is_pydantic_dataclass

from gateway.admin.configuration import configuration, issuers
from gateway.admin.history import History, RecentEvents
from gateway.cli.check_report import refused_as_json
from gateway.errors import ConfigurationError, Problem
from gateway.events import ConfigReloaded, Events
from gateway.policy.grants import compile_grants
from gateway.policy.review import notes, review
from gateway.settings.environment import variables
from gateway.settings.key_sources import SOURCE_KINDS, KeySource
from gateway.settings.load import Loaded
from gateway.settings.schema import Settings
from gateway.settings.vault_file import VaultFile
from gateway.settings.wording import render
from tests.support.caller_rows import rows_of
from tests.support.settings_reference import file_name
from tests.unit.settings.conftest import GATEWAY, VAULT, Workshop

_TODAY: Final = date(2026, 1, 1)
Place = tuple[str | int, ...]
_RANDOM: Final = random.Random(13)
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def _word(length: int) -> str:
    return "".join(_RANDOM.choices(_LETTERS, k=length))


SECRETS: Final = {
    "key": "sk_" + _word(32),
    "jwt": f"eyJ{_word(17)}.eyJ{_word(60)}.{_word(43)}",
    "token": "igw_" + _word(43),
    "hex": _RANDOM.randbytes(20).hex(),
    "base64": base64.b64encode(_RANDOM.randbytes(32)).decode(),
    "uuid": str(uuid.UUID(bytes=_RANDOM.randbytes(16), version=4)),
    "small": "".join(_RANDOM.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=24)),
    "spaces": f"{_word(9)} {_word(9)} {_word(9)}",
}
# A UUID may be the name of a tenant, a caller, an issuer or a place.
NAMES: Final = {"uuid"}
NAMED: Final = {("callers", "%"), ("tenants", "%"), ("tracing", "headers", "%")}


def _places(model: Any, at: Place) -> Iterator[Place]:
    """Every place in a table, and in the tables and lists within it; `x` names an open member."""
    for name, field in model.__pydantic_fields__.items():
        yield from _within(field.annotation, (*at, file_name(name, field)))
    yield (*at, "%")


def _within(annotation: Any, at: Place) -> Iterator[Place]:
    yield at
    yield (*at, 0)
    yield (*at, "%")
    for inner in (annotation, *get_args(annotation)):
        origin = get_origin(inner)
        if origin is dict:
            yield from _within(get_args(inner)[1], (*at, "x"))
        elif origin is tuple:
            yield from _within(get_args(inner)[0], (*at, 0))
        elif inner is KeySource:
            yield from ((*at, kind) for kind in (*SOURCE_KINDS, "field", "%"))
        elif isinstance(inner, type) and (
            issubclass(inner, BaseModel) or is_pydantic_dataclass(inner)
        ):
            yield from _places(inner, at)
        elif get_args(inner) and inner is not annotation:
            yield from _within(inner, at)


def _toml(place: Place, secret: str) -> str:
    """A document with the secret at that place, as value, or as name where `%` stands."""
    text = f'"{secret}"'
    for part in reversed(place[1:]):
        text = f"[{text}]" if isinstance(part, int) else f"{{ {_key(part, secret)} = {text} }}"
    # A file without any table is refused for that alone.
    return (
        f"{_key(str(place[0]), secret)} = {text}\n[log]\n"
        if place[0] != "log"
        else (f"log = {text}\n[limits]\n")
    )


def _key(part: str, secret: str) -> str:
    return f'"{secret}"' if part == "%" else part


GATEWAY_PLACES: Final = sorted(set(_places(Settings, ())), key=str)
VAULT_PLACES: Final = sorted(set(_places(VaultFile, ())), key=str)


def test_every_setting_has_a_place() -> None:
    """The places come from the models, tables in lists and open tables included."""
    assert len(GATEWAY_PLACES) > 250
    assert {("callers", "x", "tokens", 0, "hash"), ("issuers", 0, "audience")} <= {*GATEWAY_PLACES}
    assert {("tenants", "x", "key", "env"), ("discover", "key", "aws")} <= {*VAULT_PLACES}
    assert ("tenants", "x", "use") in VAULT_PLACES


def _said(workshop: Workshop, gateway: str, vault: str, environ: dict[str, str], kind: str) -> str:
    """All that problems, `check`, the log, the audit log and the status page say of the files.

    Of what may be a name, the problems only: a valid name is shown.
    """
    try:
        loaded: object = workshop.load(gateway, vault, environ)
        problems: tuple[Problem, ...] = ()
    except ConfigurationError as error:
        loaded, problems = error.draft, error.problems
    said = []
    if isinstance(loaded, Loaded) and kind not in NAMES:
        settings = loaded.settings
        problems += tuple(compile_grants(settings.callers, "gateway.toml")[1])
        said += [*loaded.warnings, *notes(settings)]
        said += review(settings, loaded.vault, _TODAY)
        said += _page(loaded, problems)
        said += [entry.key.describe() for entry in loaded.vault.tenants.values()]
    said += [render(problems), refused_as_json(problems), *map(str, problems)]
    return "\n".join(said)


def _page(loaded: Loaded, problems: tuple[Problem, ...]) -> list[str]:
    events, recent = Events(), RecentEvents()
    recent.subscribe(events)
    events.emit(ConfigReloaded("failure", tuple(map(str, problems))))
    rows = (configuration(loaded, recent), rows_of(loaded.settings, History(), 0.0))
    more = issuers(loaded.settings, (), recent)
    return [repr(row) for row in (*rows, *more)]


def _hiding(places: Iterable[Place], kind: str) -> Iterator[Place]:
    """The places that must not show a secret of this kind: all but those where a name belongs."""
    for place in places:
        if not (kind in NAMES and NAMED & {place[:2], place[:3]}):
            yield place


@pytest.mark.parametrize("kind", SECRETS)
def test_in_the_settings(workshop: Workshop, kind: str) -> None:
    """A secret as the value or the name of any setting of gateway.toml is never shown."""
    secret = SECRETS[kind]
    shown = [
        place
        for place in _hiding(GATEWAY_PLACES, kind)
        if secret in _said(workshop, _toml(place, secret), VAULT, {}, kind)
    ]
    assert not shown


@pytest.mark.parametrize("kind", SECRETS)
def test_in_the_vault_file(workshop: Workshop, kind: str) -> None:
    """So is one anywhere in the vault file."""
    secret = SECRETS[kind]
    shown = [
        place
        for place in _hiding(VAULT_PLACES, kind)
        if secret in _said(workshop, GATEWAY, _toml(place, secret), {}, kind)
    ]
    assert not shown


@pytest.mark.parametrize("kind", SECRETS)
def test_in_a_variable(workshop: Workshop, kind: str) -> None:
    """So is one in the value or name of a variable with our prefix."""
    secret = SECRETS[kind]
    shown = [
        name
        for name in (*variables(), f"INVOPOP_GATEWAY__{secret}")
        if secret in _said(workshop, GATEWAY, VAULT, {name: secret}, kind)
    ]
    assert not shown


VALID_ISSUER: Final = (
    '[[issuers]]\nissuer = "%"\naudience = "%"\nalgorithms = ["RS256"]\njwks_file = "%"\n'
    '[callers.billing]\ntenants = ["%"]\ncertificates = ["%"]\nissuers = ["%"]\n'
)


@pytest.mark.parametrize("kind", sorted(SECRETS.keys() - NAMES))
def test_where_any_text_is_valid(workshop: Workshop, kind: str) -> None:
    """In a setting that takes any text, what looks like a key or token is not shown either."""
    secret = SECRETS[kind]
    assert secret not in _said(workshop, VALID_ISSUER.replace("%", secret), VAULT, {}, kind)

"""The files in `config/` run as they are, and show every setting with its true default."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from gateway.settings.callers import CallerSettings, Issuer
from gateway.settings.load import load
from gateway.settings.schema import Settings
from gateway.settings.vault_file import TenantEntry, VaultFile

CONFIG = Path(__file__).parents[3] / "config"
SECTIONS = [
    *("listen", "admin", "upstream", "vault", "limits", "metrics", "log", "audit", "tracing"),
]
STORES = ["openbao", "aws", "gcp", "azure", "invopop"]
# Shown once more within another table, or as one of several that exclude each other.
FOLDED = {"openbao": {"token", "approle", "kubernetes"}}


def uncommented(name: str) -> dict[str, Any]:
    """The file with every setting that is commented out in it."""
    text = (CONFIG / name).read_text()
    return tomllib.loads(re.sub(r"(?m)^# (?=\[|[a-z_]+ = )", "", text))


def model(section: str) -> type[BaseModel]:
    """The model of a section of `gateway.toml`."""
    annotation: Any = Settings.model_fields[section].annotation
    return annotation  # type: ignore[no-any-return]


def test_it_runs_as_it_is() -> None:
    """The shipped files load without a variable set, and without a warning."""
    loaded = load(CONFIG / "gateway.toml", {})
    assert loaded.warnings == ()
    assert (loaded.settings.listen.port, loaded.settings.admin.port) == (8585, 9585)
    assert loaded.vault.tenants["acme"].key.describe() == "env INVOPOP_API_KEY"
    assert not loaded.settings.vault.strict


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_shown(section: str) -> None:
    """Each section of the shipped file names all its settings, and each could be used."""
    shown = uncommented("gateway.toml")[section]
    assert shown.keys() == model(section).model_fields.keys()
    for name, value in shown.items():
        if name not in STORES:
            model(section).model_validate({name: value})


@pytest.mark.parametrize("section", SECTIONS)
def test_shown_defaults_are_true(section: str) -> None:
    """A setting that is commented out, and has a default, shows it."""
    active = tomllib.loads((CONFIG / "gateway.toml").read_text())[section]
    defaults = model(section)()
    for name, value in uncommented("gateway.toml")[section].items():
        default = getattr(defaults, name)
        if name not in active and default is not None:
            assert getattr(model(section).model_validate({name: value}), name) == default, name


@pytest.mark.parametrize("store", STORES)
def test_every_setting_of_a_store_is_shown(store: str) -> None:
    """The tables of the stores are complete too."""
    shown = uncommented("gateway.toml")["vault"][store]
    annotation: Any = model("vault").model_fields[store].annotation
    table = next(part for part in annotation.__args__ if part is not type(None))
    assert shown.keys() == table.model_fields.keys()
    for way in FOLDED.get(store, {""}):
        kept = {n: v for n, v in shown.items() if n == way or n not in FOLDED.get(store, ())}
        assert table.model_validate(kept)


def test_issuers_and_callers_are_shown() -> None:
    """So are all settings of an issuer and of a caller, with true defaults."""
    shown = uncommented("gateway.toml")
    (issuer,) = shown["issuers"]
    assert issuer.keys() == Issuer.model_fields.keys()
    assert shown["callers"]["local"].keys() == CallerSettings.__dataclass_fields__.keys()
    assert TypeAdapter(CallerSettings).validate_python(shown["callers"]["local"])
    checked = Issuer.model_validate(issuer)
    for name, field in Issuer.model_fields.items():
        if not field.is_required() and field.default is not None:
            assert getattr(checked, name) == field.default, name


def test_vault_file_is_shown() -> None:
    """The shipped vault file shows every member of a tenant, and discovery."""
    shown = uncommented("vault.toml")
    assert shown["tenants"]["acme"].keys() == TenantEntry.__dataclass_fields__.keys()
    assert VaultFile.model_validate(shown).discover is not None

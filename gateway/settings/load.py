"""Files and environment become one `Loaded`, or a list of everything that is wrong with them.

Rule: nothing takes effect unless all of it is valid; no key is fetched here.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import ValidationError
from pydantic_core import SchemaValidator

from gateway.errors import ConfigurationError, Problem, refused, with_file
from gateway.settings import checks, environment
from gateway.settings.callers import CALLER_NAME, CallerSettings, Issuer, is_caller_name
from gateway.settings.document import Contents, parse, read
from gateway.settings.findings import Findings
from gateway.settings.key_sources import STORE_TABLES
from gateway.settings.notices import notices
from gateway.settings.schema import Settings, VaultSettings, sections
from gateway.settings.sealed import SUFFIX, read_identity, unseal
from gateway.settings.secret_files import open_secret_files
from gateway.settings.vault_file import VaultFile
from gateway.settings.wording import KeyPath, describe, shown_path

# Deeper than any key source lies; dotted keys can nest without bound.
_DEEPEST: Final = 6
_OPEN_VALUE: Final = "a key in a file that others may read"
_CLOSED: Final = "a file that others cannot read (chmod 600), or another kind of key source"
T = TypeVar("T")


class Loaded(NamedTuple):
    """The whole configuration, valid. Paths are absolute; `warnings` are for the log."""

    settings: Settings
    vault: VaultFile
    file: Path
    vault_path: Path
    warnings: tuple[str, ...]

    def without_members(self) -> "Loaded":
        """The same without callers and listed tenants, of which there may be very many.

        What is in use keeps of each what requests and the status page need, and no more.
        """
        return self._replace(
            settings=self.settings.model_copy(update={"callers": {}}),
            vault=self.vault.model_copy(update={"tenants": {}}),
        )


def load(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Reads `path`, the vault file that it names, and the overrides in `environ`.

    Raises `ConfigurationError` with all problems of both files and the environment, and with a
    `Loaded` as its draft, unless the file itself cannot be read.
    """
    file = _absolute(path)
    settings, findings, misplaced = _settings(file, environ)
    vault, problems = _vault(settings, environ, findings)
    problems = [*findings.problems, *misplaced, *problems]
    known = VaultFile(tenants={}) if vault is None else vault
    warnings = (
        *environment.misspelt(environ),
        *notices(settings, known),
        *open_secret_files(settings, known),
    )
    loaded = Loaded(settings, known, file, settings.vault.file, warnings)
    if vault is None or problems:
        raise ConfigurationError(problems, draft=loaded)
    return loaded


def _settings(file: Path, environ: Mapping[str, str]) -> tuple[Settings, Findings, list[Problem]]:
    """The configuration file with its overrides, what is wrong with it, and with those alone."""
    try:
        contents = read(file, "the configuration file")
        tree = parse(file, contents.data)
    except ConfigurationError as error:
        unknown = environment.apply({}, environ).problems
        raise ConfigurationError([*error.problems, *unknown]) from None
    merged = environment.apply(tree, environ)
    findings = Findings(str(file), merged.origins, _homes())
    settings = _Reader(findings, file.parent).settings(merged.tree)
    _refuse_open_values(tree, contents, findings)
    return settings, findings, merged.problems


def _homes() -> dict[str, list[str]]:
    """The tables that a setting may stand in, by the setting's name."""
    homes: dict[str, list[str]] = {}
    for section, table in sections().items():
        for name in table.model_fields:
            homes.setdefault(name, []).append(section)
    return homes


def _absolute(path: Path) -> Path:
    try:
        return path.absolute()
    except FileNotFoundError:
        found, expected = "a path in a working directory that no longer exists", "an absolute path"
        raise refused(str(path), "", found, expected) from None


def _vault(
    settings: Settings, environ: Mapping[str, str], about: Findings
) -> tuple[VaultFile | None, list[Problem]]:
    """The vault file; `about` is what was found in the settings that name it."""
    path = settings.vault.file
    if about.touch(("vault", "file")):
        return None, []
    try:
        contents = _vault_contents(settings.vault, environ)
        tree = parse(path, contents.data)
    except ConfigurationError as error:
        return None, with_file((p._replace(file="") for p in error.problems), shown_path(path))
    findings = Findings(str(path), {})
    _refuse_open_values(tree, contents, findings)
    _share_names(tree, settings)
    vault = _Reader(findings, path.parent).table(VaultFile, (), tree)
    if vault is not None:
        tables = ((name, getattr(settings.vault, name)) for name in STORE_TABLES)
        known = {name for name, table in tables if table or about.touch(("vault", name))}
        findings.add_rules(checks.check_vault(vault, known))
    return vault, findings.problems


def _share_names(tree: dict[str, Any], settings: Settings) -> None:
    """Gives tenants the names as callers list them: equal, and one text where there may be many."""
    if isinstance(tenants := tree.get("tenants"), dict):
        listed = {name: name for caller in settings.callers.values() for name in caller.tenants}
        tree["tenants"] = {listed.get(name, name): entry for name, entry in tenants.items()}


def _vault_contents(vault: VaultSettings, environ: Mapping[str, str]) -> Contents:
    """The vault's TOML; what was encrypted is private whoever may read the file."""
    variable = f"{environment.PREFIX}VAULT__FILE"
    expected = f"the vault file that {variable if variable in environ else 'vault.file'} names"
    if (sealed := vault.file.with_name(vault.file.name + SUFFIX)).exists():
        expected += f'; there is "{sealed.name}" beside it'
    contents = read(vault.file, expected)
    if vault.file.suffix != SUFFIX:
        return contents
    identity = read_identity(vault.file, vault.identity, environ)
    return Contents(unseal(vault.file, contents.data, identity), private=True)


def _refuse_open_values(tree: dict[str, Any], contents: Contents, findings: Findings) -> None:
    """A file may hold a key only if others cannot read it; one problem for each file."""
    if not contents.private and (path := next(_values(tree, ()), None)):
        findings.add(path, _OPEN_VALUE, _CLOSED)


def _values(tree: Any, path: KeyPath) -> Iterator[KeyPath]:
    members = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for name, member in members:
        if name == "value" and isinstance(member, str):
            yield (*path, name)
        elif isinstance(member, dict | list) and len(path) < _DEEPEST:
            yield from _values(member, (*path, name))


class _Reader:
    """Validates tables of one file, collects what is wrong, and goes on with what is valid."""

    def __init__(self, findings: Findings, directory: Path) -> None:
        self._findings = findings
        self._context = {"directory": directory}

    def table(self, model: type[T], at: KeyPath, tree: Any) -> T | None:
        """The table at `at`, without its wrong members if it has any; None if too little is left.

        Rules between settings see such a remainder, so that one mistake hides no other.
        """
        try:
            return self._validated(model, tree)
        except ValidationError as error:
            self._findings.add_errors(at, model, tree, error)
        sound = self._findings.sound(at, tree) if isinstance(tree, dict) else {}
        try:
            return self._validated(model, sound)
        except ValidationError:
            return None

    def _validated(self, model: type[T], tree: Any) -> T:
        # Of models and of dataclasses.
        validator: SchemaValidator = model.__pydantic_validator__  # type: ignore[attr-defined]
        valid: T = validator.validate_python(tree, context=self._context)
        return valid

    def settings(self, tree: dict[str, Any]) -> Settings:
        """All sections, issuers and callers, and the rules between them."""
        known = Settings.model_fields
        for name in tree:
            if name not in known:
                self._findings.add_unknown((name,), known)
        tables: dict[str, Any] = {
            name: self.table(model, (name,), tree.get(name, {}))
            for name, model in sections().items()
        }
        issuers = self._issuers(tree.get("issuers", []))
        settings = Settings(**tables, issuers=tuple(issuers.values()), callers=self._callers(tree))
        self._findings.add_rules(checks.check(settings, tuple(issuers)))
        return settings

    def _issuers(self, tree: Any) -> dict[int, Issuer]:
        if not isinstance(tree, list):
            self._findings.add(("issuers",), describe(tree, ()), "tables headed [[issuers]]")
            return {}
        tables = {
            index: self.table(Issuer, ("issuers", index), table) for index, table in enumerate(tree)
        }
        return {index: issuer for index, issuer in tables.items() if issuer is not None}

    def _callers(self, tree: dict[str, Any]) -> dict[str, CallerSettings]:
        callers = tree.get("callers", {})
        if not isinstance(callers, dict):
            found = describe(callers, ("callers",))
            self._findings.add(("callers",), found, "tables headed [callers.NAME]")
            return {}
        tables = {}
        for name, table in callers.items():
            if not is_caller_name(name):
                self._findings.add_name(("callers", name), CALLER_NAME)
            elif caller := self.table(CallerSettings, ("callers", name), table):
                # A caller is often named as its tenant: then one text is enough.
                tables[caller.tenants[0] if caller.tenants[:1] == (name,) else name] = caller
        return tables

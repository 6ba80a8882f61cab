"""`init`: a configuration to begin with, by questions or flags. Rule: it overwrites nothing."""

import os
import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, NoReturn, TypeVar

import typer
from pydantic import TypeAdapter, ValidationError

from gateway.cli import starter
from gateway.cli.starter import Answers, Identity, Keys
from gateway.cli.streams import create, secret_line
from gateway.identity.tokens import hash_token, new_token
from gateway.model import TENANT_NAME
from gateway.secret import Secret
from gateway.settings.callers import CALLER_NAME, is_caller_name
from gateway.settings.json_schema import FILES, schema_text
from gateway.settings.values import HttpsUrl, PeerNetwork, StoreUrl
from gateway.settings.wording import readable
from gateway.vault.sources.key_check import fault_in

_LOOPBACK: Final = ("127.0.0.1/32", "::1/128")
E = TypeVar("E", bound=StrEnum)


_Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Where the files are written.")]
_Sandbox = Annotated[
    bool | None,
    typer.Option("--sandbox/--live", help="For the bundled sandbox, or for Invopop itself."),
]
_Tenants = Annotated[
    list[str] | None, typer.Option("--tenant", metavar="NAME", help="A tenant; repeat for more.")
]
_Keys = Annotated[Keys | None, typer.Option(help="Where the tenants' keys live.")]
_OpenBao = Annotated[
    str, typer.Option("--openbao-url", metavar="URL", help="With --keys openbao: the store.")
]
_Caller = Annotated[
    str | None, typer.Option("--caller", metavar="NAME", help="The first service that calls.")
]
_Shared = Annotated[
    bool | None,
    typer.Option("--shared/--sidecar", help="For many services, or beside one on this machine."),
]
_Identity = Annotated[Identity | None, typer.Option(help="How the service proves who it is.")]
_Issuer = Annotated[
    str, typer.Option("--issuer", metavar="URL", help="With --identity jwt: the tokens' `iss`.")
]
_Networks = Annotated[
    list[str] | None,
    typer.Option(
        "--network", metavar="CIDR", help="With --identity address; default: this machine."
    ),
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: defaults for the rest.")]


class _Given(NamedTuple):
    """What the options said; None and "" where they said nothing."""

    sandbox: bool | None
    tenants: tuple[str, ...]
    keys: Keys | None
    openbao: str
    caller: str | None
    shared: bool | None
    identity: Identity | None
    issuer: str
    networks: tuple[str, ...]


def init(  # noqa: PLR0913, PLR0917 - each is an option
    directory: _Directory = Path(),
    sandbox: _Sandbox = None,
    tenants: _Tenants = None,
    keys: _Keys = None,
    openbao: _OpenBao = "",
    caller: _Caller = None,
    shared: _Shared = None,
    identity: _Identity = None,
    issuer: _Issuer = "",
    networks: _Networks = None,
    yes: _Yes = False,
) -> None:
    """Write a configuration to begin with, and print what to do next.

    In a terminal it asks for what no option says. It overwrites nothing.
    """
    named, places = tuple(tenants or ()), tuple(networks or ())
    given = _Given(sandbox, named, keys, openbao, caller, shared, identity, issuer, places)
    answers = _answers(_Asker(sys.stdin.isatty() and not yes), given)
    _validate(answers)
    _refuse_existing(directory, answers)
    if answers.keys is Keys.VALUE:
        answers = answers._replace(values={name: _key_of(name) for name in answers.tenants})
    _write(directory, answers)
    _introduce(directory, answers)


def _answers(ask: "_Asker", given: _Given) -> Answers:
    own = bool(given.tenants or given.keys)
    sandbox = ask.either("Invopop", ("sandbox", "live"), given.sandbox, default=not own)
    if sandbox and own:
        _wrong(f"the sandbox has its own tenants: {' and '.join(starter.SANDBOX_TENANTS)}")
    tenants: tuple[str, ...] = starter.SANDBOX_TENANTS
    keys = Keys.FILE
    if not sandbox:
        tenants = given.tenants or tuple(ask.text("Tenants, with spaces between", "acme").split())
        keys = ask.choice("Where the keys live", Keys, given.keys)
    caller = given.caller or ask.text("The service that calls", "billing")
    shared = ask.either("Deployed", ("shared", "sidecar"), given.shared, default=False)
    identity = ask.choice("How it proves who it is", Identity, given.identity)
    issuer = given.issuer or (ask.text("The issuer's URL", "") if identity is Identity.JWT else "")
    openbao = given.openbao or (
        ask.text("The store's URL", "https://127.0.0.1:8200") if keys is Keys.OPENBAO else ""
    )
    networks = given.networks or (() if shared else _LOOPBACK)
    if identity is Identity.ADDRESS and not networks:
        networks = tuple(ask.text("The callers' networks, with spaces between", "").split())
    return Answers(caller, tenants, keys, identity, shared, sandbox, issuer, openbao, networks, {})


class _Asker:
    """Asks in a terminal; elsewhere the default is the answer."""

    def __init__(self, asks: bool) -> None:
        self.asks = asks

    def text(self, question: str, default: str) -> str:
        """A line of text."""
        return str(typer.prompt(question, default=default or None)) if self.asks else default

    def either(
        self, question: str, words: tuple[str, str], given: bool | None, *, default: bool
    ) -> bool:
        """Whether it is the first of two words."""
        if given is not None:
            return given
        return self._one_of(question, [*words], words[not default]) == words[0]

    def choice(self, question: str, of: type[E], given: E | None) -> E:
        """One of the words of an enumeration; by default the first."""
        if given is not None:
            return given
        return of(self._one_of(question, [*of], next(iter(of))))

    def _one_of(self, question: str, words: list[str], default: str) -> str:
        while self.asks:
            answer = str(typer.prompt(f"{question} ({', '.join(words)})", default=str(default)))
            if answer in words:
                return answer
            typer.echo(f"One of {', '.join(words)} is expected.", err=True)
        return default


def _validate(answers: Answers) -> None:
    """Ends with what is wrong, if anything is."""
    if not is_caller_name(answers.caller):
        _wrong(f"--caller: expected {CALLER_NAME}")
    for tenant in answers.tenants:
        if re.fullmatch(TENANT_NAME, tenant) is None or tenant == "other":
            _wrong(
                "--tenant: expected a letter or digit, then letters, digits, `.`, `_` and `-`, at "
                "most 128 in all, and not `other`"
            )
    if not answers.tenants or len(set(answers.tenants)) < len(answers.tenants):
        _wrong("--tenant: expected at least one name, and each once")
    if answers.identity is Identity.JWT:
        _valid("--issuer", HttpsUrl, answers.issuer)
    if answers.keys is Keys.OPENBAO:
        _valid("--openbao-url", StoreUrl, answers.openbao)
    if answers.identity is Identity.ADDRESS:
        if not answers.networks:
            _wrong("--network: expected the network of the callers of a shared gateway")
        for network in answers.networks:
            _valid("--network", PeerNetwork, network)


def _valid(option: str, kind: Any, text: str) -> None:
    try:
        TypeAdapter(kind).validate_python(text)
    except ValidationError as error:
        _wrong(f"{option}: expected {error.errors()[0]['msg']}")


def _wrong(what: str) -> NoReturn:
    typer.echo(f"error: {what}", err=True)
    raise typer.Exit(2)


def _key_of(tenant: str) -> str:
    key = secret_line(f"Key of {tenant}")
    if fault := fault_in(key):
        typer.echo(f"error: the key of {tenant} {fault}", err=True)
        raise typer.Exit(1)
    return key


def _refuse_existing(directory: Path, answers: Answers) -> None:
    """Ends, with their names, if any of the files is there already."""
    names = ("gateway.toml", "vault.toml", starter.token_file(answers.caller))
    if there := [name for name in names if os.path.lexists(directory / name)]:
        typer.echo(
            f"error: {directory.absolute()} has {', '.join(there)} already, and init overwrites "
            "nothing; name another directory: invopop-gateway init DIR",
            err=True,
        )
        raise typer.Exit(1)


def _write(directory: Path, answers: Answers) -> None:
    token = Secret(new_token())
    directory.mkdir(parents=True, exist_ok=True)
    if answers.keys is Keys.FILE and not answers.sandbox:
        (directory / "keys").mkdir(mode=0o700, exist_ok=True)
    if answers.identity is Identity.TOKEN:
        shown = f"{token.reveal()}\n".encode()
        create(directory / starter.token_file(answers.caller), shown, 0o600)
    create(directory / "vault.toml", starter.vault_text(answers).encode(), 0o600)
    settings = starter.settings_text(answers, hash_token(token.reveal()))
    create(directory / "gateway.toml", settings.encode(), 0o644)
    for name in FILES:
        if not os.path.lexists(schema := directory / f"{name}.schema.json"):
            create(schema, schema_text(name).encode(), 0o644)


def _introduce(directory: Path, answers: Answers) -> None:
    # Within `uv run` the program is on nobody else's path.
    program = "invopop-gateway"
    if "UV_RUN_RECURSION_DEPTH" in os.environ:
        program = f"uv run --no-dev {program}"
    rows = {
        "gateway.toml": "the settings; nothing in it is secret",
        "vault.toml": "where each tenant's key is",
    }
    if answers.identity is Identity.TOKEN:
        rows[starter.token_file(answers.caller)] = (
            f"the token that {answers.caller} shows; keep it secret"
        )
    typer.echo(f"Written to {readable(str(directory.absolute()))}:")
    for name, meaning in rows.items():
        typer.echo(f"  {name:16} {meaning}")
    for heading, lines in starter.next_steps(answers, directory, program):
        typer.echo(f"\n{heading}")
        for line in lines:
            typer.echo(f"  {line}")
    if answers.shared and answers.identity is not Identity.ADDRESS:
        typer.echo("\nBefore others call it: set listen.tls_certificate and listen.tls_key.")

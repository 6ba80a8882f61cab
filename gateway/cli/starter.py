"""The files that `init` writes, and the lines that it prints, from the answers. Pure.

Rule: what is written loads as it is, and what is printed can be pasted into a shell as it is.
"""

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

SANDBOX_TENANTS: Final = ("acme", "globex")
_SANDBOX_PORT: Final = 8443
_SANDBOX_FILES: Final = 8444
_SANDBOX_FOLDER: Final = "sandbox-data"


class Keys(StrEnum):
    """Where the tenants' keys live."""

    ENV = "env"
    FILE = "file"
    VALUE = "value"
    OPENBAO = "openbao"
    AWS = "aws"


class Identity(StrEnum):
    """How the caller proves who it is."""

    TOKEN = "token"  # noqa: S105 - a word
    ADDRESS = "address"
    JWT = "jwt"


class Answers(NamedTuple):
    """What `init` was told. `values` are the keys of `Keys.VALUE`, by tenant."""

    caller: str
    tenants: tuple[str, ...]
    keys: Keys
    identity: Identity
    shared: bool
    sandbox: bool
    issuer: str
    openbao: str
    networks: tuple[str, ...]
    values: Mapping[str, str]


def settings_text(answers: Answers, token_hash: str) -> str:
    """`gateway.toml`. `token_hash` is used if the caller shows a token."""
    return "\n\n".join(["#:schema gateway.schema.json", *_sections(answers, token_hash)]) + "\n"


def _sections(answers: Answers, token_hash: str) -> Iterator[str]:
    if answers.shared:
        yield (
            "[listen]\n"
            'host = "0.0.0.0"\n'
            '# tls_certificate = "tls.pem"       # callers off this machine need TLS:\n'
            '# tls_key = "tls-key.pem"           # over plain HTTP their tokens can be read'
        )
    if answers.sandbox:
        yield (
            "[upstream]                          # the bundled sandbox Invopop\n"
            f'url = "https://localhost:{_SANDBOX_PORT}"\n'
            f'file_hosts = ["localhost:{_SANDBOX_FILES}"]\n'
            f'ca_file = "{_SANDBOX_FOLDER}/ca.pem"\n'
            "ca_only = true"
        )
    if answers.keys is Keys.OPENBAO:
        yield (
            "[vault.openbao]\n"
            f"url = {_text(answers.openbao)}\n"
            'token = { env = "VAULT_TOKEN" }     # or [vault.openbao.kubernetes] or .approle'
        )
    if answers.identity is Identity.JWT:
        yield (
            "[[issuers]]\n"
            f"issuer = {_text(answers.issuer)}\n"
            'audience = "invopop-gateway"\n'
            'algorithms = ["RS256"]\n'
            "discovery = true\n"
            '# tenant_claim = "tenant"           # if the token names the tenant'
        )
    yield _caller(answers, token_hash)


def _caller(answers: Answers, token_hash: str) -> str:
    lines = [f"[callers.{_key(answers.caller)}]"]
    if answers.identity is Identity.TOKEN:
        lines.append(f"tokens = [{_text(token_hash)}]")
    if answers.identity is Identity.ADDRESS:
        lines.append(f"networks = [{', '.join(map(_text, answers.networks))}]")
    lines.append(f"tenants = [{', '.join(map(_text, answers.tenants))}]")
    lines.append('# allow = ["@invoicing"]            # left out: every operation; see `explain`')
    return "\n".join(lines)


def vault_text(answers: Answers) -> str:
    """`vault.toml`: one table a tenant."""
    tables = [
        f"[tenants.{_key(tenant)}]\nkey = {source}" for tenant, source in _sources(answers).items()
    ]
    return "\n\n".join(["#:schema vault.schema.json", *tables]) + "\n"


def _sources(answers: Answers) -> dict[str, str]:
    written = {}
    for number, tenant in enumerate(answers.tenants):
        places = {
            Keys.ENV: f'env = "{variable(answers, number)}"',
            Keys.FILE: f'file = "{_SANDBOX_FOLDER if answers.sandbox else "keys"}/{tenant}.key"',
            Keys.VALUE: f"value = {_text(answers.values.get(tenant, ''))}",
            Keys.OPENBAO: f'openbao = "secret/invopop/{tenant}", field = "api_key"',
            Keys.AWS: f'aws = "invopop/{tenant}"',
        }
        written[tenant] = f"{{ {places[answers.keys]} }}"
    return written


def variable(answers: Answers, number: int) -> str:
    """The environment variable of a tenant's key; two names that look alike get a number."""
    names = [re.sub(r"[^A-Z0-9]", "_", name.upper()) for name in answers.tenants]
    name = names[number] if names[number][0].isalpha() else f"T_{names[number]}"
    same = f"_{number + 1}" if names.count(names[number]) > 1 else ""
    return f"{name}{same}_INVOPOP_KEY"


def shell_word(path: Path) -> str:
    """A path as a word of a shell line that can be pasted, also one that no text can show.

    A byte outside of UTF-8, or a control character, is escaped as POSIX.1-2024 2.2.4 has it: bash,
    zsh and ksh know `$'…'`.
    """
    text = str(path)
    if text.isprintable():
        return shlex.quote(text)
    escaped = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b"\\'" else f"\\{byte:03o}"
        for byte in os.fsencode(path)
    )
    return f"$'{escaped}'"


def next_steps(answers: Answers, directory: Path, program: str) -> list[tuple[str, list[str]]]:
    """What to do next: a heading and its shell lines each, in order."""
    config = shell_word(directory / "gateway.toml")
    has_variables = answers.keys in {Keys.ENV, Keys.OPENBAO}
    where = "in the same terminal" if has_variables else "in a terminal of its own"
    return [
        *_provide_keys(answers, directory, program),
        ("Check it:", [f"{program} check --config {config}"]),
        (f"Start it, {where}:", [f"{program} serve --config {config}"]),
        ("Call it as you would call Invopop, in another terminal:", [_request(answers, directory)]),
    ]


def _provide_keys(
    answers: Answers, directory: Path, program: str
) -> Iterator[tuple[str, list[str]]]:
    if answers.sandbox:
        folder = shell_word(directory / _SANDBOX_FOLDER)
        ports = f"--port {_SANDBOX_PORT} --file-port {_SANDBOX_FILES}"
        command = f"{program} sandbox {ports} --dir {folder}"
        yield "Start the sandbox Invopop, in a terminal of its own:", [command]
    elif answers.keys is Keys.ENV:
        names = [variable(answers, number) for number in range(len(answers.tenants))]
        lines = [f"read -rs {name} && export {name}" for name in names]
        yield "Paste each key after its line and press Enter (it is not shown):", lines
    elif answers.keys is Keys.FILE:
        files = [directory / "keys" / f"{tenant}.key" for tenant in answers.tenants]
        lines = [f"install -m 600 /dev/stdin {shell_word(file)}" for file in files]
        yield "Put each key into its file (paste it, press Enter, then Ctrl-D):", lines
    elif answers.keys is Keys.OPENBAO:
        lines = [f"bao kv put secret/invopop/{tenant} api_key=-" for tenant in answers.tenants]
        yield "Put each key into the store (paste it, then press Ctrl-D twice):", lines
        token = "read -rs VAULT_TOKEN && export VAULT_TOKEN"  # noqa: S105 - a shell line
        yield "Paste the token that the gateway shows to the store, and press Enter:", [token]


def _request(answers: Answers, directory: Path) -> str:
    words = ["curl http://127.0.0.1:8585/access/v1/workspace"]
    if answers.identity is Identity.TOKEN:
        token = shell_word(directory / token_file(answers.caller))
        words.append(f'-H "Authorization: Bearer $(cat {token})"')
    if answers.identity is Identity.JWT:
        words.append('-H "Authorization: Bearer $TOKEN"')
    if len(answers.tenants) > 1:
        words.append(f"-H 'X-Invopop-Tenant: {answers.tenants[0]}'")
    return " ".join(words)


def token_file(caller: str) -> str:
    """The name of the file that holds the caller's token."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", caller).lstrip(".") + ".token"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

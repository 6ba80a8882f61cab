"""A secret pasted into the wrong place is refused without ever being shown."""

import traceback
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import ConfigurationError, Problem
from gateway.settings.report import render
from gateway.settings.wording import describe, key_path, masked

CANARY = "CaNaRy0123456789abcdefCaNaRy"

# Places for a secret in gateway.toml, with the canary as %.
GATEWAY = [
    '[callers.billing]\ntokens = ["%"]',
    '[callers.billing]\ntokens = "%"',
    '[callers.billing]\ntokens = ["sha256:%"]',
    '[callers.billing]\ntokens = [{ hash = "%", token = "%" }]',
    '[callers.billing]\ntoken = "%"',
    '[callers]\nbilling = "%"',
    '[limits]\nstorage = "redis://user:%@redis:6379"',
    '[limits]\nstorage = "redis://%@redis:6379"',
    '[limits]\nstorage_password = "%"',
    '[limits]\nstorage_password = { vlaue = "%", password = "%" }',
    '[limits]\nstorage_password = { env = "%-%" }',
    '[limits]\nstorage_password = ["%"]',
    '[upstream]\nurl = "https://%:x@api.invopop.com"',
    '[upstream]\nurl = "https://x:%/@api.invopop.com"',
    '[upstream]\nurl = "https://api.invopop.com/?key=%"',
    '[upstream]\nurl = "https://api.invopop.com/#%"',
    '[upstream]\nproxy = "http://u:%@egress:3128"',
    '[listen]\nplaceholder_tokens = ["% "]',
    '[listen]\nplaceholder_tokens = "%"',
    '[vault]\nopenbao = { url = "https://b", token = "%" }',
    '[vault]\nopenbao = { url = "https://b", token = { token = "%" } }',
    '[vault]\nopenbao = { url = "https://b", approle = { role_id = 5, secret_id = "%" } }',
    '[vault]\nidentity = "%"',
    '[[issuers]]\nsecret = "%"',
    '[[issuers]]\nsecret = { "value " = "%" }',
    '[[issuers]]\njwks_url = "https://u:%@id/jwks"',
    '[listen]\nhost = "igw_% "',
    '[log]\nlevel = "%"',
    '"%" = 1\n[log]',
    '[log]\nx = "%\ny"',
    "[log]\nx = %",
    "[log]\n%",
]
VAULT = [
    '[tenants]\nacme = "%"',
    '[tenants.acme]\nkey = "%"',
    '[tenants.acme]\nkey = ["%"]',
    '[tenants.acme]\nkey = { vault = "%" }',
    '[tenants.acme]\nkey = { value = ["%"] }',
    '[tenants.acme]\nkey = { value = "%", env = "%" }',
    '[tenants.acme]\nkey = { env = "%.%" }',
    '[tenants.acme]\nkey = { file = "%\\u0000" }',
    '[tenants.acme]\nkey = { openbao = "%//%" }',
    '[tenants.acme]\nkey = { env = "A" }\nprevious = "%"',
    '[tenants.acme]\nkey = { env = "A" }\nold = "%"',
    '[discover]\nkey = "%"',
    '[tenants.acme]\n"%" = 1',
    '[tenants.acme]\nkey = "%',
]


def shown(problems: tuple[Problem, ...]) -> str:
    """All that an operator, a log or a test could see of problems."""
    error = ConfigurationError(problems)
    return "\n".join(
        [render(problems), *map(str, problems), *map(repr, problems), str(error), repr(error)]
    )


@pytest.mark.parametrize("secret", [CANARY, "eyJhbGciOi.eyJzdWIi.c2ln", "igw_short"])
@pytest.mark.parametrize("text", GATEWAY)
def test_secret_in_the_settings(workshop: Any, text: str, secret: str) -> None:
    """Wherever a token or password is pasted into gateway.toml, no problem shows it."""
    with_secret = text.replace("%", secret)
    assert secret not in shown(workshop.problems(with_secret))


@pytest.mark.parametrize("secret", [CANARY, "eyJhbGciOi.eyJzdWIi.c2ln", "igw_short"])
@pytest.mark.parametrize("text", VAULT)
def test_secret_in_the_vault_file(workshop: Any, text: str, secret: str) -> None:
    """Wherever a key is pasted into vault.toml, no problem shows it."""
    assert secret not in shown(workshop.problems(vault=text.replace("%", secret)))


def test_short_secret_where_secrets_belong(workshop: Any) -> None:
    """Even a word that looks like nothing is not shown where a secret is expected."""
    gateway = '[callers.a]\ntokens = ["hunter2", { hash = "hunter2", expires = "hunter2" }]\n'
    vault = (
        '[tenants.acme]\nkey = "hunter2"\nprevious = { env = "hunter2!", field = ["hunter2"] }\n'
    )
    assert "hunter2" not in shown(workshop.problems(gateway, vault))


def test_traceback_without_secret(workshop: Any) -> None:
    """The refusal carries no chained error that quotes what was read."""
    word = "2retnuh"[::-1]  # backwards, as a traceback shows this line
    with pytest.raises(ConfigurationError) as caught:
        workshop.load(f'[callers.a]\ntokens = ["{word}"]\n', f'[tenants.acme]\nkey = "{word}"\n')
    assert word not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is None


def test_secret_in_a_variable(workshop: Any) -> None:
    """A variable's text is treated like a file's."""
    environ = {
        "INVOPOP_GATEWAY__LIMITS__STORAGE": f"redis://:{CANARY}@redis",
        "INVOPOP_GATEWAY__LISTEN__PORT": CANARY,
        "INVOPOP_GATEWAY__TOKEN": CANARY,
    }
    problems = workshop.problems(environ=environ)
    assert len(problems) == 3
    assert CANARY not in shown(problems)


HIDDEN = ["tokens", "hash", "key", "previous", "value", "secret", "storage_password", "token"]


@settings(max_examples=50)
@given(st.recursive(st.text(min_size=4), st.lists, max_leaves=3), st.sampled_from(HIDDEN))
def test_what_may_be_secret_is_named_by_type(value: Any, place: str) -> None:
    """At and below a place for secrets, only the type of a value is told."""
    assert describe(value, ("x", place, 0, "y")) in {"a string", "a list", "an empty list"}


@given(st.from_regex(r"(igw_|eyJ)[A-Za-z0-9_-]{4,40}", fullmatch=True), st.text(max_size=8))
def test_tokens_are_known_by_their_look(token: str, around: str) -> None:
    """Our tokens and JWTs are masked wherever they stand, in values and in names."""
    for text in (describe(f"{around}{token}", ("a",)), key_path(("a", f"{around}{token}"))):
        assert token not in text
    assert token not in masked(f"{around} {token}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.binary(max_size=200))
def test_any_bytes_are_loaded_or_refused(workshop: Any, data: bytes) -> None:
    """No content of a file makes loading fail in another way than with a list of problems."""
    for files in ({"gateway": data}, {"vault": data}):
        with suppress(ConfigurationError):
            workshop.load(**files)

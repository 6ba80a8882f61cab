"""A secret pasted into the wrong place is refused without ever being shown."""

import traceback
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import ConfigurationError, Problem
from gateway.settings.wording import describe, key_path, masked, render
from tests.support.vaults import key_source

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


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
TOKEN = "igw_sentinel-token-of-billing-0000000001"
PLACES = [
    'file = "%"', 'file = "keys/%"', 'aws = "%"', 'gcp = "%"', 'azure = "%"',
    'openbao = "secret/%", field = "f"', 'file = "keys.json", field = "%"',
]  # fmt: skip


@pytest.mark.parametrize("secret", [JWT, TOKEN])
@pytest.mark.parametrize("place", PLACES)
def test_a_key_where_its_place_should_stand(workshop: Any, place: str, secret: str) -> None:
    """It is refused: else it would be told as the place of a key, and be asked of a store."""
    vault = f"[tenants.acme]\nkey = {{ {place.replace('%', secret)} }}\n"
    problems = workshop.problems(vault=vault)
    assert "where the key is; a key itself can stand in `value` only" in shown(problems)
    assert secret not in shown(problems)


PLAIN = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
SOURCES: list[tuple[dict[str, Any], str]] = [
    ({"env": PLAIN}, "env [redacted]"),
    ({"file": f"/keys/{PLAIN}"}, "file /keys/[redacted]"),
    ({"aws": PLAIN}, "aws [redacted]"),
    ({"openbao": "secret/acme", "field": PLAIN}, "openbao secret/acme#[redacted]"),
    ({"env": "ACME_INVOPOP_KEY_2024_PRODUCTION"}, "env ACME_INVOPOP_KEY_2024_PRODUCTION"),
    (
        {"file": "/run/secrets/2024/acme.json", "field": "key"},
        "file /run/secrets/2024/acme.json#key",
    ),
    ({"openbao": "secret/invopop/acme", "field": "key"}, "openbao secret/invopop/acme#key"),
]


@pytest.mark.parametrize(("source", "told"), SOURCES)
def test_what_looks_like_a_key_is_not_told_as_a_place(source: dict[str, Any], told: str) -> None:
    """Where it may be a name it is believed, but not shown; names are."""
    assert key_source(**source).describe() == told


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

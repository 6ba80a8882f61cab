"""Vault files that are refused: names, key sources, discovery; and who may read a key in them."""

from typing import Any

import pytest

from gateway.settings.key_sources import SOURCE_KINDS

BAO = '[vault.openbao]\nurl = "https://bao"\ntoken = { env = "T" }\n'
KINDS = f"exactly one of {', '.join(SOURCE_KINDS)}"

SOURCES = [
    ("{}", "", KINDS),
    ('"a-key"', "", "such as { env = "),
    ('{ env = "A", file = "b" }', "", KINDS),
    ('{ field = "x" }', "", KINDS),
    ('{ env = "A", field = "x" }', "", "no `field`"),
    ('{ env = "1A" }', ".env", "the name of an environment variable"),
    ('{ env = "$A" }', ".env", "the name of an environment variable"),
    ('{ env = "" }', ".env", "the name of an environment variable"),
    ("{ env = 5 }", ".env", "the name of an environment variable"),
    ('{ file = "" }', ".file", "the path of a file"),
    ('{ file = "a\\u0000b" }', ".file", "the path of a file"),
    ('{ file = "a", field = "" }', ".field", "not empty"),
    ('{ eny = "A", env = "B" }', ".eny", "`env`"),
    ('{ vault = "secret/a" }', ".vault", "one of `env`, `file`, `value`, `openbao`"),
    ('{ openbao = "/secret/a" }', ".openbao", "without empty or dot segments"),
    ('{ openbao = "secret/../a" }', ".openbao", "without empty or dot segments"),
    ('{ openbao = "secret/a b" }', ".openbao", "the secret's name"),
    ('{ openbao = "secret/{tenant}" }', "", "{tenant} is for [discover]"),
]
DISCOVERIES = [
    ('{ env = "X_{tenant}" }', "key", "one of openbao, aws, gcp, azure, invopop: env cannot find"),
    ('{ env = "A", openbao = "secret/{tenant}" }', "key", "exactly one of"),
    ('{ evn = "A" }', "key.evn", "`env`"),
    ('"A"', "key", "such as { openbao = "),
    ('{ env = "A" }', "key", "one of openbao"),
    ('{ file = "keys/{tenant}" }', "key", "one of openbao"),
    ('{ openbao = "{tenant}" }', "key", "a literal prefix"),
    (
        '{ aws = "arn:aws:secretsmanager:eu-west-1:1:secret:a/{tenant}" }',
        "key",
        "the name of a secret",
    ),
    ('{ openbao = "secret/acme" }', "key", "{tenant} once"),
    ('{ openbao = "secret/{tenant}/{tenant}" }', "key", "{tenant} once"),
    ('{ openbao = "secret/{name}/{tenant}" }', "key", "{tenant} once"),
]
NAMES = ["other", "-a", ".a", "a b", "a/b", "Å", "a" * 129, ""]


@pytest.mark.parametrize("slot", ["key", "previous"])
@pytest.mark.parametrize(("source", "key", "expected"), SOURCES)
def test_wrong_key_source(workshop: Any, slot: str, source: str, key: str, expected: str) -> None:
    """A key source is exactly one of the kinds, well written; else the tenant's slot is named."""
    slots = {"key": '{ env = "A" }'} | {slot: source}
    lines = "\n".join(f"{name} = {text}" for name, text in slots.items())
    (problem,) = workshop.problems(BAO, f"[tenants.acme]\n{lines}\n")
    assert (problem.file, problem.key) == (str(workshop.vault), f"tenants.acme.{slot}{key}")
    assert expected in problem.expected


@pytest.mark.parametrize(("source", "key", "expected"), DISCOVERIES)
def test_wrong_discovery(workshop: Any, source: str, key: str, expected: str) -> None:
    """Tenants are found in stores only, below a literal prefix."""
    (problem,) = workshop.problems(BAO, f"[discover]\nkey = {source}\n")
    assert problem.key == f"discover.{key}"
    assert expected in problem.expected


@pytest.mark.parametrize("name", NAMES)
def test_wrong_tenant_name(workshop: Any, name: str) -> None:
    """Case 159: only a well-formed name other than `other` can be a tenant."""
    (problem,) = workshop.problems(vault=f'[tenants."{name}"]\nkey = {{ env = "A" }}\n')
    assert problem.found == "this name"
    assert "a tenant's name" in problem.expected


@pytest.mark.parametrize("name", ["a", "0", "Other", "others", "a.b_c-D", "a" * 128])
def test_tenant_name(workshop: Any, name: str) -> None:
    """Well-formed names are taken as they are."""
    assert name in workshop.load(vault=f'[tenants."{name}"]\nkey = {{ env = "A" }}\n').vault.tenants


@pytest.mark.parametrize("code", ["ES", "GR", "GB", "EL", "XI", "XU"])
def test_country(workshop: Any, code: str) -> None:
    """ISO 3166-1's codes, and those that tax ids have in their place."""
    vault = workshop.load(vault=f'[tenants.a]\nkey = {{ env = "A" }}\ncountry = "{code}"\n').vault
    assert vault.tenants["a"].country == code


@pytest.mark.parametrize(
    ("vault", "key", "expected"),
    [
        ("[tenants.acme]", "tenants.acme.key", "such as { env = "),
        ('tenants = "x"\n[discover]\nkey = { aws = "a{tenant}" }', "tenants", "a table"),
        ('[tenants]\nacme = "x"', "tenants.acme", "a table"),
        ('[tenant.acme]\nkey = { env = "A" }', "tenant", "`tenants`"),
        ('[tenants.acme]\nkey = { env = "A" }\nwork = "x"', "tenants.acme.work", "`workspace`"),
        ('[tenants.key]\nkey = { env = "A", feld = "x" }', "tenants.key.key.feld", "`field`"),
        ('[tenants.acme]\nkey = { env = "A" }\nworkspace = ""', "tenants.acme.workspace", ""),
        *(
            (f'[tenants.a]\nkey = {{ env = "A" }}\ncountry = {code}', "tenants.a.country", "3166-1")
            for code in ('"ESP"', '"XX"', '"XK"', '"EU"', '"uk-"', '""', '"E"', "34", '["ES"]')
        ),
        *(
            (f'[tenants.a]\nkey = {{ env = "A" }}\ncountry = "{code}"', "tenants.a.country", right)
            for code, right in (
                ("es", '"ES"'),
                ("Es", '"ES"'),
                ("el", '"EL"'),
                ("UK", '"GB"'),
                ("uk", '"GB"'),
            )
        ),
        *(
            (f'[tenants.a]\nkey = {{ env = "A" }}\nsandbox = {flag}', "tenants.a.sandbox", "false")
            for flag in ('"false"', "0", '"no"')
        ),
        ("[discover]", "discover.key", "such as { openbao = "),
        ('[tenants.a]\nuse = "b"', "tenants.a.use", "a table in [tenants] with a key of its own"),
        ('[tenants.a]\nuse = "a"', "tenants.a.use", "a table in [tenants] with a key of its own"),
        ('[tenants."a-*"]\nuse = "a-b"', 'tenants."a-*".use', "with a key of its own"),
        ('[tenants.a]\nuse = "b*"', "tenants.a.use", "a tenant's name"),
        ("[tenants.a]\nuse = 5", "tenants.a.use", "a tenant's name"),
        ('[tenants.a]\nuse = "b"\nkey = { env = "A" }', "tenants.a", "`use` alone"),
        ('[tenants.a]\nuse = "b"\nworkspace = "w"', "tenants.a", "`use` alone"),
        ('[tenants.a]\nuse = "b"\nuse-it = true', "tenants.a", "`use` alone"),
        ('[tenants.a]\nkey = { env = "A" }\nused = "b"', "tenants.a.used", "`use`"),
        ('[tenants."a-*"]\nkey = { env = "A" }', 'tenants."a-*"', "a glob has no key of its own"),
        ('[tenants."-*"]\nuse = "b"', 'tenants."-*"', "a glob such as"),
        ('[tenants.other]\nuse = "b"', "tenants.other", "not `other`"),
    ],
)
def test_wrong_table(workshop: Any, vault: str, key: str, expected: str) -> None:
    """What the vault file does not know, or lacks, is named."""
    (problem,) = workshop.problems(vault=vault)
    assert problem.key == key
    assert expected in problem.expected


@pytest.mark.parametrize(
    ("kind", "reference"), [("openbao", "secret/acme"), ("gcp", "acme"), ("azure", "acme")]
)
def test_store_without_connection(workshop: Any, kind: str, reference: str) -> None:
    """A store that the settings do not know how to reach is told of once, not once a tenant."""
    tenants = f'[tenants.a]\nkey = {{ {kind} = "{reference}" }}\n'
    (problem,) = workshop.problems(vault=tenants + tenants.replace(".a]", ".b]"))
    assert problem.key == "tenants.a.key"
    assert f"[vault.{kind}]" in problem.expected


def test_wrong_connection_is_told_once(workshop: Any) -> None:
    """A store whose connection is written wrong does not count as missing too."""
    vault = '[tenants.a]\nkey = { openbao = "secret/acme" }\n'
    (problem,) = workshop.problems("[vault]\nopenbao = 5\n", vault)
    assert problem.key == "vault.openbao"


@pytest.mark.parametrize("kind", ["openbao", "azure"])
def test_only_google_knows_projects(workshop: Any, kind: str) -> None:
    """A path that begins like Google's full names says nothing of another store's server."""
    vault = f'[tenants.a]\nkey = {{ {kind} = "projects/1/secrets/acme" }}\n'
    (problem,) = workshop.problems(vault=vault)
    assert (problem.key, problem.found) == ("tenants.a.key", f"{kind}, which is not configured")


@pytest.mark.parametrize("source", ['aws = "acme"', 'gcp = "projects/1/secrets/acme"'])
def test_store_that_needs_no_connection(workshop: Any, source: str) -> None:
    """AWS finds its region itself, and a full Google name holds its project."""
    assert workshop.load(vault=f"[tenants.a]\nkey = {{ {source} }}\n")


@pytest.mark.parametrize("file", ["gateway", "vault"])
def test_key_in_an_open_file(workshop: Any, file: str) -> None:
    """A key that stands in a file others may read is refused, in either file, told once a file."""
    texts = {
        "gateway": '[limits]\nstorage = "redis://r"\nstorage_password = { value = "canary" }\n',
        "vault": '[tenants.a]\nkey = { value = "canary" }\n[tenants.b]\nkey = { value = "x" }\n',
    }
    for path in (workshop.gateway, workshop.vault):
        path.touch()
        path.chmod(0o644)
    (problem,) = workshop.problems(**{file: texts[file]})
    assert (
        problem.key
        == {"gateway": "limits.storage_password.value", "vault": "tenants.a.key.value"}[file]
    )
    assert "canary" not in str(problem)


def test_key_in_a_closed_file(workshop: Any) -> None:
    """A key may stand in a file that only this user may read; it stays a secret from then on."""
    workshop.vault.touch(mode=0o600)
    loaded = workshop.load(vault='[tenants.a]\nkey = { value = "canary" }\n')
    key = loaded.vault.tenants["a"].key
    assert key.value.reveal() == "canary"
    assert key.describe() == "value"
    assert "canary" not in repr(loaded)


def test_tenants_that_share_a_key_are_apart_from_those_that_have_one(workshop: Any) -> None:
    """Both stand in [tenants]; a glob may be any that a caller's `tenants` may be."""
    loaded = workshop.load(
        vault='[tenants.es]\nkey = { env = "A" }\n[tenants.a]\nuse = "es"\n'
        '[tenants."*"]\nuse = "es"\n[tenants."a.*-b*"]\nuse = "es"\n'
    )
    assert list(loaded.vault.tenants) == ["es"]
    assert [(name, entry.use) for name, entry in loaded.vault.sharing.items()] == [
        ("a", "es"), ("*", "es"), ("a.*-b*", "es"),
    ]  # fmt: skip


def test_a_use_leads_to_a_key_in_one_step(workshop: Any) -> None:
    """One that leads to another `use` is refused, and so is a chain that ends in a key."""
    vault = '[tenants.es]\nkey = { env = "A" }\n[tenants.a]\nuse = "es"\n[tenants.b]\nuse = "a"\n'
    (problem,) = workshop.problems(vault=vault)
    assert (problem.key, problem.found) == ("tenants.b.use", "a tenant that has `use` itself")


def test_many_tables_that_use_what_is_not_there_are_one_problem(workshop: Any) -> None:
    """Else a table that was removed would be 100,000 problems."""
    tables = "".join(f'[tenants.h-{number}]\nuse = "es"\n' for number in range(1000))
    (problem,) = workshop.problems(vault=f'[tenants.x]\nkey = {{ env = "A" }}\n{tables}')
    assert problem.key == "tenants.h-0.use"
    assert problem.found == "a tenant that is not listed (as in 999 more tables)"

"""What `check` warns of: lawful, but probably not meant, or about to stop working."""

from datetime import date
from typing import Any

import pytest

from gateway.policy.review import SOON, notes, review
from gateway.settings.schema import Settings
from gateway.settings.vault_file import VaultFile

TODAY = date(2027, 1, 31)
LIMITED = {"allow": ("silo.*",)}


def warnings(vault: tuple[str, ...] = ("acme",), **callers: Any) -> list[str]:
    """The warnings about these callers and a vault of these tenants."""
    settings = Settings.model_validate({"callers": callers})
    tenants = {name: {"key": {"env": "K"}} for name in vault}
    return review(settings, VaultFile.model_validate({"tenants": tenants}), TODAY)


def token(expires: date | None) -> dict[str, Any]:
    """A caller whose second token ends then, and who is well otherwise."""
    tokens = ({"hash": "a" * 64}, {"hash": "b" * 64, "expires": expires})
    return {"tokens": tokens, "tenants": ("acme",), **LIMITED}


def test_nothing_to_say() -> None:
    """A caller with its tenant, its limits and a token without end is no news."""
    assert warnings(billing=token(None)) == []


@pytest.mark.parametrize(
    ("expires", "text"),
    [
        (date(2027, 1, 30), "expired on 2027-01-30; it is refused, and can be removed"),
        (date(2027, 1, 31), "expires today, at the end of 2027-01-31 (UTC)"),
        (date(2027, 2, 1), "expires tomorrow, at the end of 2027-02-01 (UTC)"),
        (date(2027, 2, 2), "expires in 2 days, at the end of 2027-02-02 (UTC)"),
        (date(2027, 3, 2), "expires in 30 days, at the end of 2027-03-02 (UTC)"),
        (date(2027, 3, 3), None),
    ],
)
def test_tokens_about_to_expire(expires: date, text: str | None) -> None:
    """Told a month ahead, by key path; an expired one is told as such, for ever."""
    told = [f"callers.billing.tokens[1]: {text}"] if text else []
    assert warnings(billing=token(expires)) == told
    assert SOON == 30


def test_tenants_that_the_vault_lacks() -> None:
    """Names and globs that lead nowhere; letter case counts, as it does for requests."""
    tenants = ("acme", "Acme", "glob*", "ac*")
    callers: dict[str, Any] = {"bill.ing": {"tenants": tenants, **LIMITED}}
    unknown, unmatched = warnings(**callers)
    assert unknown.startswith('callers."bill.ing".tenants[1]: the vault has no tenant of')
    assert unmatched == 'callers."bill.ing".tenants[2]: no tenant of the vault matches this glob'


def test_discovery_may_know_any_tenant() -> None:
    """Where tenants are discovered nobody can say that a name is unknown."""
    settings = Settings.model_validate({"callers": {"a": {"tenants": ("x", "y-*"), **LIMITED}}})
    vault = {"discover": {"key": {"openbao": "secret/{tenant}"}}}
    assert review(settings, VaultFile.model_validate(vault), TODAY) == []


def test_tenants_nobody_may_use() -> None:
    """All in one line, and a long list is cut short."""
    caller = {"tenants": ("acme", "g-*"), **LIMITED}
    assert warnings(("acme", "g-1", "G-1", "g"), a=caller) == ["tenants: no caller may use G-1, g"]
    assert warnings(("acme",)) == ["tenants: no caller may use acme"]
    listed = ", ".join(f"t{number:02}" for number in range(10))
    for count, more in ((10, ""), (11, " and 1 more"), (12, " and 2 more")):
        many = ("acme", "g-1", *(f"t{number:02}" for number in range(count)))
        assert warnings(many, a=caller) == [f"tenants: no caller may use {listed}{more}"]


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({}, ": may call every operation; `allow` or `deny` would limit it"),
        ({"allow": ("silo.*", "*")}, ".allow: covers every operation"),
        ({"allow": ("* /**",)}, ".allow: covers every operation"),
        ({"allow": ("silo.*",), "enforce": False},
         ".enforce: false, so that every operation is let through"),
        ({"allow": ("silo.*",)}, None),
        ({"allow": ("GET /**",)}, None),
        ({"allow": ()},
         ".allow: is empty, so all requests are refused; without it all are allowed"),
        ({"allow": (), "enforce": False},
         ".enforce: false, so that every operation is let through"),
        ({"deny": ("*",)}, ".deny: covers every operation, so that every request is refused"),
        ({"deny": ("access.*", "* /**"), "allow": ("silo.*",)},
         ".deny: covers every operation, so that every request is refused"),
        ({"allow": ("*", "access.*")}, ".allow: covers every operation"),
        ({"allow": ("*", "access.*"), "deny": ("GET /**",)}, None),
        ({"allow": ("*",), "deny": ("access.*",)}, None),
        ({"deny": ("access.*",)}, None),
        ({"allow": ("silo.*",), "deny": ("access.*",), "enforce": False}, None),
    ],
)  # fmt: skip
def test_callers_that_may_do_everything_or_nothing(rules: dict[str, Any], text: str | None) -> None:
    """Whatever makes it so; a `deny` is a limit."""
    told = [f"callers.billing{text}"] if text else []
    assert warnings(billing={"tenants": ("acme",), **rules}) == told


def test_what_the_rules_say_of_credentials() -> None:
    """That nothing but an exact name covers them, and who has such a name: no warning, a note."""

    def noted(**callers: Any) -> list[str]:
        return notes(Settings.model_validate({"callers": callers}))

    general = noted(a={"tenants": ("acme",)})
    assert len(general) == 1
    assert "access.enrollment.*" in general[0]
    assert "exact name" in general[0]
    allow = ("access.*", "access.enrollment.fetch", "access.enrollment.update")
    named = "callers.a.allow: names access.enrollment.fetch, access.enrollment.update, whose"
    assert noted(a={"allow": allow})[0].startswith(named)
    assert noted() == []


def test_a_large_vault_is_looked_over_whole() -> None:
    """With many tenants and globs, only what is wrong is told."""
    callers = {f"c{n}": {"tenants": (f"c{n}-*", f"own{n}"), **LIMITED} for n in range(20)}
    found = warnings(tuple(f"c{n % 20}-{n}" for n in range(2000)), **callers)
    assert len(found) == 20
    assert all("the vault has no tenant of this name" in text for text in found)


def sharing(*tenants: str, **uses: str) -> list[str]:
    """The warnings about one caller of these tenants; `es` has a key, `uses` share it."""
    settings = Settings.model_validate({"callers": {"a": {"tenants": tenants, **LIMITED}}})
    names = {name.replace("_", "-").replace("X", "*"): use for name, use in uses.items()}
    vault = {"es": {"key": {"env": "K"}}} | {name: {"use": use} for name, use in names.items()}
    return review(settings, VaultFile.model_validate({"tenants": vault}), TODAY)


def test_tenants_that_share_a_key_are_tenants() -> None:
    """By name or by glob; what they use need not be anybody's."""
    assert sharing("hotel-a", "inn-7", hotel_a="es", inn_X="es") == []
    assert sharing("hotel-*", hotel_a="es") == []
    assert sharing("h*l-*", "*7", hotel_X="es", inn_X="es") == []
    unmatched, unused = sharing("hostel-*", hotel_X="es", hotel_a="es")
    assert unmatched == "callers.a.tenants[0]: no tenant of the vault matches this glob"
    assert unused == "tenants: no caller may use hotel-*, hotel-a"
    assert sharing("es") == []


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("a*", "*b", True),
        ("a*c", "ab*", True),
        ("a*c", "b*", False),
        ("a*b", "a*c", False),
        ("*a*", "*b*", True),
        ("a**b", "ab", True),
        ("a*b", "b*a", False),
        ("ab", "abc", False),
        ("*", "x-*-y", True),
    ],
)
def test_globs_that_have_a_name_in_common(one: str, other: str, overlap: bool) -> None:
    """Whichever comes first."""
    for left, right in ((one, other), (other, one)):
        texts = sharing(left, **{right.replace("*", "X").replace("-", "_"): "es"})
        assert (texts == []) is overlap

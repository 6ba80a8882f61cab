"""What to do about each failure."""

import re
from pathlib import Path
from typing import Literal, get_args

import pytest

from gateway.admin.advice import BY_KEY_STATE, advice, key_advice
from gateway.errors import REMEDIES, ErrorKey
from gateway.vault.sources import source

ERRORS = (Path(__file__).parents[3] / "config" / "errors.md").read_text()


@pytest.mark.parametrize("key", get_args(ErrorKey))
def test_the_page_and_the_readme_say_the_same(key: ErrorKey) -> None:
    """Each error's advice stands in the table of errors, word for word but for its backticks."""
    (row,) = re.findall(rf"^\| [\d, ]+ \| `{key}` \| (.*) \|$", ERRORS, re.MULTILINE)
    assert advice(500, key, "") == REMEDIES[key] == row.replace("`", "")


def test_each_way_to_miss_a_key_has_advice() -> None:
    """Whatever a source answers, an operator is told what to do."""
    words = {source.NOT_FOUND, source.DENIED, source.UNAVAILABLE, source.MALFORMED}
    assert words <= BY_KEY_STATE.keys()


@pytest.mark.parametrize(
    ("state", "source", "told"),
    [
        ("not_found", "env ACME_KEY", "set it and restart"),
        ("not_found", "file acme.key", "put the key into it"),
        ("not_found", "invopop 5b45", "have the company enroll"),
        ("not_found", "invopop_enrollment 5b45", "correct the id"),
        ("not_found", "aws invopop/acme", "The key is not at its source"),
        ("denied", "invopop 5b45", "client_secret"),
        ("denied", "invopop_enrollment 5b45", "client_secret"),
        ("denied", "openbao secret/acme", "permissions"),
        ("denied", "use acme", "The key is that of acme: see there."),
        ("ok", "use acme", ""),
        ("ok", "file acme.key", ""),
    ],
)
def test_of_a_key_it_depends_on_the_source(state: str, source: str, told: str) -> None:
    """A variable needs a restart, an enrollment is not a file."""
    found = key_advice(state, source)
    assert told in found
    assert bool(found) == bool(told)


@pytest.mark.parametrize(
    ("status", "error", "cause", "told"),
    [
        (401, "unauthenticated", "expired", "The token has expired"),
        (401, "unauthenticated", "header_refused", "Send a valid token"),
        (403, "operation_denied", "callers.billing.deny", "The operation is not in allow"),
        (503, "key_unavailable", "not_found", "The key is not at its source"),
        (503, "key_unavailable", "something_new", "The key's source cannot be read"),
        (
            502,
            "upstream_unreachable",
            "dns: api.invopop.com:443: no such name",
            "The name of upstream.url",
        ),
        (499, "", "caller_left", "The caller gave up"),
        (503, "", "", "Invopop's own answer"),
        (200, "", "", ""),
    ],
)
def test_the_cause_says_more_than_the_key(
    status: int, error: ErrorKey | Literal[""], cause: str, told: str
) -> None:
    """The closest advice there is; Invopop's own errors are named as such."""
    found = advice(status, error, cause)
    assert found.startswith(told)
    assert bool(found) == bool(told)


@pytest.mark.parametrize(
    ("error", "cause", "said"),
    [
        ("upstream_unreachable", "connect", "The file host, or the network on the way"),
        ("upstream_unreachable", "dns: files.test:443: x", "The name of the file host cannot"),
        ("upstream_unreachable", "connect_refused", "Nothing listens at the file host:"),
        ("upstream_tls_error", "tls", "The file host's certificate"),
        ("", "", "The file host's own answer"),
        ("tenant_required", "", "Name the tenant in X-Invopop-Tenant"),
    ],
)
def test_of_a_file_host(error: ErrorKey, cause: str, said: str) -> None:
    """It does not blame Invopop."""
    assert advice(502, error, cause, file_host=True).startswith(said)

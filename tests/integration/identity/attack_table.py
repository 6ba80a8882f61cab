"""Writes `attacks.md`: each attack with its request, its answer and its test.

`python -m tests.integration.identity.attack_table` writes it anew; a test holds it to the code.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

from tests.integration.identity.test_attacks import (
    ANY,
    EXPIRED_TOKEN,
    GLOB,
    TABLE,
    TOO_LARGE,
    Attack,
)
from tests.support import forgeries
from tests.support.gateway import token_hash
from tests.support.world import HS_SECRET, KEY_A, TOK_A, TOK_B, TOK_S, TOK_T, World

FILE: Final = Path(__file__).with_name("attacks.md")
_LONGEST: Final = 100
_HEAD: Final = """\
# Forged and refused credentials

Each row is sent to the running program and must get the answer shown; nothing of it reaches the
origin. All 401 answers are identical except for the request id. So are all `tenant_denied` answers,
whether the tenant is another caller's, does not exist, or has an impossible name.

Written by `python -m tests.integration.identity.attack_table`; `test_attack_table.py` checks it.
"""
_ELSEWHERE: Final = (
    ("one credential right, another wrong", "401, or 400 for two of one field",
     "../test_credentials.py::test_wrong_proxy_credential_beats_a_right_one"),
    ("a web page that uses an address", "403 `browser_refused`",
     "../../attacks/test_dns_rebinding.py::test_a_page_of_another_site"),
    ("an address that only a header claims", "401",
     "../../attacks/test_forwarded_for_spoofing.py::test_it_opens_nothing"),
    ("a certificate that is expired, foreign, or of a CA of the same name", "no handshake",
     "test_mutual_tls.py::test_bad_certificates"),
    ("a certificate that expires while its connection or TLS session lives", "403 `caller_unknown`",
     "test_mutual_tls.py::test_expired_while_the_session_lives"),
    ("a certificate that matches no caller, almost one, or two", "403 `caller_unknown`",
     "test_mutual_tls.py::test_certificates_of_nobody"),
    ("another uid, or an unmapped one, on the socket", "401", "test_unix_socket.py::test_by_uid"),
    ("another pod's service account, namespace or audience", "401, or 403 `caller_unknown`",
     "test_service_accounts.py::test_projected_tokens"),
    ("a key that its issuer has withdrawn", "401", "test_remote_issuers.py::test_rotation"),
    ("an issuer that lies, redirects, stalls or floods",
     "its tokens stay valid; no redirect is followed", "test_remote_issuers.py::test_outage"),
    ("a discovery document of another issuer, or that leaves HTTPS", "401",
     "test_remote_issuers.py::test_discovery"),
    ("10,000 unknown `kid`s", "401, and one fetch per cool-down",
     "../../attacks/test_jwks_storm.py::test_herd_and_storm"),
    ("`alg` confusion, and keys inside the token", "401",
     "../../attacks/test_algorithm_confusion.py::test_forged"),
    ("a tenant named by query, host, cookie, or against the claim", "403",
     "../../attacks/test_tenant_confusion.py::test_nothing_else_names_a_tenant"),
    ("an open proxy: another site, or CONNECT", "421 `misdirected`, 405 `method_not_allowed`",
     "test_forward_proxy.py::test_other_sites_are_not_served"),
    ("a path that policy and origin could read in two ways", "403 `operation_denied`, or 400",
     "test_rules_on_the_wire.py::test_explain_and_the_wire_agree"),
    ("one tenant that sends as much as it can", "429 `rate_limited`, 503 `overloaded`",
     "test_rates_on_the_wire.py::test_one_tenant_cannot_starve_the_rest"),
    ("another tenant's key, by a race", "never",
     "test_isolation_run.py::test_no_request_under_another_tenants_key"),
)  # fmt: skip
_NAMES: Final = {
    TOK_A: "<billing's token>", TOK_B: "<ledger's token>", TOK_S: "<shared's token>",
    TOK_T: "<token of tokens-only>", ANY: "<token for any tenant>", GLOB: "<token for acme-*>",
    EXPIRED_TOKEN: "<expired token>", KEY_A: "<acme's key>", HS_SECRET: "<the secret>",
    TOK_A[:-1]: "<billing's token but its end>", TOK_A.upper(): "<BILLING'S TOKEN>",
    token_hash(TOK_A)[7:]: "<hash of billing's token>",
}  # fmt: skip


class _Issuer:
    """Signs nothing: its tokens are what they say."""

    def claims(self, subject: str, **claims: Any) -> dict[str, Any]:
        return {"sub": subject} | claims

    def token(self, claims: dict[str, Any]) -> str:
        return f"<JWT {json.dumps(claims)}>"


def text() -> str:
    """The whole file."""
    told = [_row("attack", "request", "answer", "test"), _row("---", "---", "---", "---")]
    told += [_static(name, attack) for name, attack in TABLE.items()]
    told += [_forged(name) for name in forgeries.ATTACKS]
    other = [_row("attack", "answer", "test"), _row("---", "---", "---")]
    other += [_row(attack, answer, f"`{test}`") for attack, answer, test in _ELSEWHERE]
    return "\n".join([_HEAD, *told, "", "Attacks that other tests run:", "", *other, ""])


def elsewhere() -> list[tuple[Path, str]]:
    """The file and the function of each test that is named without a table."""
    pairs = (test.split("::") for _, _, test in _ELSEWHERE)
    return [(FILE.parent / file, function) for file, function in pairs]


def _static(name: str, attack: Attack) -> str:
    issuer = cast("World", SimpleNamespace(issuer=_Issuer()))
    line, *fields = attack.send(issuer).decode("latin-1").rstrip("\r\n").split("\r\n")
    shown = [line.removesuffix(" HTTP/1.1"), *(f for f in fields if not _usual(f))]
    request = "; ".join(shown)
    for secret, named in _NAMES.items():
        request = request.replace(secret, named)
    return _row(name, _code(request), f"{attack.status} `{attack.key}`", "`test_table`")


def _usual(field: str) -> bool:
    return field.startswith(("Host: ", "X-Request-Id: "))


def _forged(name: str) -> str:
    request = f"`GET /x; Authorization: Bearer` and this {'word' if '145' in name else 'JWT'}"
    answer = "431 `headers_too_large`" if name in TOO_LARGE else "401 `unauthenticated`"
    return _row(name, request, answer, "`test_forged_tokens`")


def _code(content: str) -> str:
    """As code on one line, unprintable characters escaped, and not too long."""
    shown = content.encode("unicode_escape").decode()
    return f"`{shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + '…'}`"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    FILE.write_text(text())

"""What an operator should look at now, and what to do about each failure. Pure.

An error's own remedy is in `gateway.errors`; here is what its cause, or a key's state, adds.
"""

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from gateway.admin.view import (
    CallerSummary,
    Check,
    Concern,
    ConfigurationStatus,
    IssuerRow,
    TenantSummary,
    Traffic,
    UpstreamStatus,
)
from gateway.admin.wording import day
from gateway.errors import REMEDIES, ErrorKey, about_file_host
from gateway.upstream.edge import ADVICE as EDGE_ADVICE

_MOST_NAMES: Final = 5
_LATELY: Final = 60.0  # seconds
SOON: Final = 30 * 86400.0  # seconds before its end from which a certificate is a concern

# What a cause says more exactly, in the place of its error's remedy.
BY_CAUSE: Final = {
    "expired": "The token has expired: give the caller a new one.",
    "no_credential": (
        "No token was sent, and the address belongs to no caller: send Authorization: Bearer."
    ),
    "unknown_token": "The token is in no caller's tokens: it is misspelt, or was revoked.",
    "unknown_issuer": "The token's issuer is in no [[issuers]]: add it, or use another token.",
    "unknown_key": "The issuer's keys lack the one that signed the token; see Issuers.",
    "bad_signature": "The token was altered, or signed by somebody else: get a new one.",
    "audience": "The token was issued for another audience: compare the issuer's audience.",
    "not_yet_valid": "The token is not valid yet: compare the clocks.",
    "issued_in_future": "The token was issued in the future: compare the clocks.",
    "host_name": (
        "The name in Host may belong to a web page: send a token, or call by a local name."
    ),
    "deadline": "The time in X-Request-Timeout is over: allow more, or compare the latency above.",
    "caller_left": "The caller gave up: compare its timeout with the latency above.",
    "caller_stalled": "The caller did not read its reply.",
    "caller_too_slow": "The caller read its reply more slowly than listen.min_rate.",
    "fair_share": (
        "The caller, or its tenant, has so many requests in flight that the rest is for others."
    ),
    "body_rate": "The caller sent its body more slowly than listen.min_rate.",
    "drain_timeout": "The request was cut at the end of a drain: raise listen.drain_timeout.",
    "truncated": "Invopop broke its reply off; the connection to the caller was cut as well.",
    "connect_refused": "Nothing listens at upstream.url: correct it, or start what should.",
    "edge_refused": f"{EDGE_ADVICE}.",
    "dns": "The name of upstream.url cannot be resolved: correct it, or the name server.",
}

BY_KEY_STATE: Final = {
    "ok": "",
    "loading": "The key has not been read yet.",
    "on_demand": "Invopop issues the key when it is used next.",
    "unchecked": "The key is used once Invopop has confirmed its workspace.",
    "rejected": "Invopop answered 401 to the key: rotate it.",
    "not_found": "The key is not at its source: put it there.",
    "denied": "The source refuses access to the key: check the gateway's permissions there.",
    "unavailable": "The source does not answer; the last good key, if there is one, is used.",
    "malformed": "What is at the source is not a key; see check.",
    "disabled": "The workspace has disabled the application: enable its enrollment at Invopop.",
    "pin_unchecked": "Invopop did not say whose workspace the key opens; it is asked again soon.",
    "pin_mismatch": (
        "The key opens another workspace than vault.toml says: put the right key there."
    ),
    "pin_mismatch_sandbox": (
        "The key's workspace is not what `sandbox` in vault.toml says: put the right key there."
    ),
    "pin_mismatch_country": (
        "The key's workspace is not in the country that vault.toml says: put the right key there."
    ),
}


# The same of one kind of source, by the first word of how it is described.
_BY_SOURCE: Final = {
    ("not_found", "env"): "The variable is not set: set it and restart the gateway.",
    ("not_found", "file"): "The file is not there: put the key into it; no restart is needed.",
    ("not_found", "invopop"): (
        "Invopop knows no enrollment of that owner: correct the id in vault.toml, or have the"
        " company enroll the application."
    ),
    ("not_found", "invopop_enrollment"): (
        "Invopop knows no such enrollment: correct the id in vault.toml."
    ),
    ("denied", "invopop"): (
        "Invopop refuses the application: correct client_id and client_secret in [vault.invopop]."
    ),
    ("unavailable", "invopop"): "Invopop issues no key now; the last one is used until it ends.",
}

_RENEWAL: Final = {
    "tunnel.certificate": (
        "Make another with invopop-gateway tunnel-ca, let clients trust both, then replace the"
        " two files."
    ),
}
_SERVED: Final = "Requests are served with what is known; see the log."
_BY_CHECK: Final = {
    "vault": "Beside each key under Tenants is what to do; key_refresh in the log says more.",
    "audit": "See audit_failed in the log: free disk space, or make audit.file writable.",
    "rate_storage": (
        "Fix limits.storage, or the way to it; see limits.on_storage_failure for what happens now."
    ),
    "traces": "Fix tracing.endpoint, or what receives there; requests are served all the same.",
}


def key_advice(state: str, source: str) -> str:
    """What to do about a key in that state, read from that source, such as "env ACME_KEY"."""
    kind, _, name = source.partition(" ")
    if kind == "use" and BY_KEY_STATE.get(state):
        return f"The key is that of {name}: see there."
    kind = "invopop" if (kind, state) == ("invopop_enrollment", "denied") else kind
    return _BY_SOURCE.get((state, kind), BY_KEY_STATE.get(state, ""))


def advice(
    status: int, error: ErrorKey | Literal[""], cause: str, *, file_host: bool = False
) -> str:
    """What to do about an exchange, with a file host or Invopop, that ended so; "" for nothing."""
    said = _advice(status, error, cause)
    return about_file_host(said) if file_host else said


def _advice(status: int, error: ErrorKey | Literal[""], cause: str) -> str:
    if error == "key_unavailable" and BY_KEY_STATE.get(cause):
        return BY_KEY_STATE[cause]
    kind = cause.partition(":")[0]  # a failure at Invopop goes on with whom it was about
    if kind in BY_CAUSE:
        return BY_CAUSE[kind]
    if error:
        return REMEDIES[error]
    return "Invopop's own answer: its status page may say more." if status >= 500 else ""


def health_concerns(state: str, checks: tuple[Check, ...]) -> Iterator[Concern]:
    """Why the process is not ready, or is degraded."""
    if state == "draining":
        yield Concern(
            "warn",
            "The gateway drains: shutdown was requested.",
            "Nothing: callers move elsewhere.",
        )
    for check in checks:
        if check.status == "pending":
            what = f"{check.name.capitalize()}: not tried yet."
            yield Concern("warn", what, "Wait: /readyz answers 200 once every check was tried.")
        elif check.status == "degraded" and check.name not in {"configuration", "issuers"}:
            # Those two have more to say themselves.
            what = f"{check.name.replace('_', ' ').capitalize()}: {check.reason}."
            yield Concern("warn", what, _BY_CHECK.get(check.name, _SERVED))


def upstream_concerns(upstream: UpstreamStatus, traffic: Traffic, now: float) -> Iterator[Concern]:
    """Requests that are refused, wait or fail because of Invopop."""
    if upstream.circuit == "open":
        why = f": {upstream.circuit_reason}" if upstream.circuit_reason else ""
        yield Concern(
            "bad",
            f"The circuit is open{why}.",
            "Callers get 503 at once; single probes find out when Invopop answers again.",
        )
    for host in upstream.file_hosts_open:
        yield Concern(
            "bad",
            f"The circuit of the file host {host} is open.",
            "Its files are answered with 503 at once, all else is served; see Last failures.",
        )
    if upstream.last_failed_kind == "dns" and now - (upstream.last_failed_at or 0.0) < _LATELY:
        yield Concern(
            "warn",
            "A name could not be resolved within the last minute.",
            "Last failures has the name: correct it, or the name server that this machine asks.",
        )
    if upstream.waiting:
        yield Concern(
            "warn",
            f"{upstream.waiting} requests wait for a connection to Invopop.",
            "Raise upstream.max_connections, or add replicas.",
        )
    if traffic.requests >= 20 and traffic.failed > 0.05 * traffic.requests:
        share = traffic.failed / traffic.requests
        yield Concern(
            "bad", f"{share:.0%} of the last minute's requests failed.", "See Last failures."
        )


def tenants_concerns(tenants: TenantSummary) -> Iterator[Concern]:
    """Keys that are unavailable, were rejected, or expire soon."""
    if tenants.troubled:
        yield Concern(
            "bad",
            f"{_many(tenants.troubled, 'tenant has', 'tenants have')} trouble with a key.",
            "See Tenants: they come first in the list.",
        )
    if tenants.ending:
        yield Concern(
            "warn",
            f"{_many(tenants.ending, 'tenant has', 'tenants have')} a key that expires within"
            " 14 days.",
            "Make new keys in Invopop's console, then run invopop-gateway keys rotate TENANT.",
        )
    if not tenants.total and not tenants.discovery:
        yield Concern(
            "warn", "There is no tenant.", "Add one with invopop-gateway keys set TENANT."
        )


def callers_concerns(callers: CallerSummary, issuers: tuple[IssuerRow, ...]) -> Iterator[Concern]:
    """No caller, rules that are not enforced, issuers that do not answer."""
    if not callers.total:
        yield Concern(
            "warn", "No caller is configured.", "Add a table [callers.NAME] to gateway.toml."
        )
    lax = [row.name for row in callers.rows if not row.enforced]
    if lax:
        names = ", ".join(lax[:_MOST_NAMES]) + (", …" if len(lax) > _MOST_NAMES else "")
        yield Concern(
            "warn", f"Rules are not enforced for {names}.", "Set enforce = true when satisfied."
        )
    for row in issuers:
        if row.state == "failing":
            why = f": {row.reason}" if row.reason else ""
            yield Concern(
                "warn",
                f"The keys of {row.issuer} were not refreshed{why}.",
                "Known keys are used for issuers.jwks_max_stale; fix the connection to the issuer.",
            )


def configuration_concerns(configuration: ConfigurationStatus) -> Iterator[Concern]:
    """A reload that was refused, or settings that wait for a restart."""
    if configuration.reload == "failure":
        yield Concern(
            "bad",
            "The last reload was refused; the configuration before it stays in force.",
            "Fix what Configuration lists; invopop-gateway check lists it too.",
        )
    if configuration.restart_required:
        names = ", ".join(configuration.restart_required)
        yield Concern("warn", f"Changed, but not in force yet: {names}.", "Restart the gateway.")


def _many(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"


def certificates_concerns(ends: Mapping[str, float], now: float) -> Iterator[Concern]:
    """Certificates that expire within thirty days; `ends` are in seconds since 1970."""
    for name, end in ends.items():
        if end <= now + SOON:
            word = "expired" if end <= now else "expires"
            yield Concern(
                "bad" if end <= now else "warn",
                f"The certificate of {name} {word} on {day(end)}.",
                _RENEWAL.get(name, "Replace its file and its key's file; no restart is needed."),
            )

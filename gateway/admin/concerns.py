"""What an operator should look at now, and what to do about it. Pure."""

from collections.abc import Iterator, Mapping
from typing import Final

from gateway.admin.health import Check
from gateway.admin.view import (
    CallerSummary,
    Concern,
    ConfigurationStatus,
    IssuerRow,
    TenantSummary,
    Traffic,
    UpstreamStatus,
)
from gateway.admin.wording import day

_MOST_NAMES: Final = 5
_LATELY: Final = 60.0  # seconds
SOON: Final = 30 * 86400.0  # seconds before its end from which a certificate is a concern

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
            f"{_many(upstream.waiting, 'request waits', 'requests wait')} for a connection to"
            " Invopop.",
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

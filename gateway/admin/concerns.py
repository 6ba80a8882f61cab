"""What an operator should look at now, worst first, each with what to do. Pure."""

from collections.abc import Iterator

from gateway.admin.view import (
    Callers,
    Check,
    Concern,
    Configuration,
    IssuerRow,
    Tenants,
    Traffic,
    Upstream,
)

_MOST_NAMES = 5


def of_health(state: str, checks: tuple[Check, ...]) -> Iterator[Concern]:
    """Why the process is not ready, or not wholly well."""
    if state == "draining":
        yield Concern("warn", "Draining: it was told to end.", "Nothing: callers move elsewhere.")
    for check in checks:
        if check.status == "pending":
            what = f"{check.name.capitalize()} not ready: not tried yet."
            yield Concern("warn", what, "Wait: /readyz turns 200 once each was tried.")
        elif check.status == "degraded":
            what = f"{check.name.capitalize()} degraded: {check.reason}."
            yield Concern("warn", what, "Requests go on with what is known; see the log.")


def of_upstream(upstream: Upstream, traffic: Traffic) -> Iterator[Concern]:
    """Invopop held back, or out of reach."""
    if upstream.circuit == "open":
        why = f": {upstream.circuit_reason}" if upstream.circuit_reason else ""
        yield Concern(
            "bad",
            f"The circuit is open{why}.",
            "Callers get 503 at once; single probes find out when Invopop is back.",
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


def of_tenants(tenants: Tenants) -> Iterator[Concern]:
    """Keys that cannot be had, were rejected, or end soon."""
    if tenants.troubled:
        yield Concern(
            "bad",
            f"{_many(tenants.troubled, 'tenant has', 'tenants have')} trouble with a key.",
            "See Tenants: they are first in the list.",
        )
    if tenants.ending:
        yield Concern(
            "warn",
            f"{_many(tenants.ending, 'tenant has', 'tenants have')} a key that ends within"
            " 14 days.",
            "Make new ones in Invopop's console, then: invopop-gateway keys rotate TENANT.",
        )
    if not tenants.total and not tenants.discovery:
        yield Concern(
            "warn", "There is no tenant.", "Add one to vault.toml: invopop-gateway keys set TENANT."
        )


def of_callers(callers: Callers, issuers: tuple[IssuerRow, ...]) -> Iterator[Concern]:
    """Nobody configured, rules that are only watched, issuers that do not answer."""
    if not callers.total:
        yield Concern("warn", "No caller is configured.", "Add a [callers.NAME] table.")
    lax = [row.name for row in callers.rows if not row.enforced]
    if lax:
        names = ", ".join(lax[:_MOST_NAMES]) + (", …" if len(lax) > _MOST_NAMES else "")
        yield Concern(
            "warn", f"Rules are only watched for {names}.", "Set enforce = true when satisfied."
        )
    for row in issuers:
        if row.state == "failing":
            why = f": {row.reason}" if row.reason else ""
            yield Concern(
                "warn",
                f"Keys of {row.issuer} were not refreshed{why}.",
                "Known keys serve for issuers.jwks_max_stale; mend the way to the issuer.",
            )


def of_configuration(configuration: Configuration) -> Iterator[Concern]:
    """A reload that was refused, or that waits for a restart."""
    if configuration.reload == "failure":
        yield Concern(
            "bad",
            "The last reload was refused whole; what was in force stays.",
            "Mend what Configuration lists; invopop-gateway check lists it too.",
        )
    if configuration.restart_required:
        names = ", ".join(configuration.restart_required)
        yield Concern("warn", f"Changed, but not in force: {names}.", "Restart.")


def _many(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"

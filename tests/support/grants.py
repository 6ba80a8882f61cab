"""Compiled grants of one caller, `billing`, with two tenants."""

from gateway.model import Caller
from gateway.policy.grants import Grants, compile_grants
from gateway.settings.callers import CallerSettings

BILLING = Caller("billing", "jwt", "acme")


def compiled(
    allow: tuple[str, ...] | None = None, deny: tuple[str, ...] = (), *, enforce: bool = True
) -> Grants:
    """The grants of these rules, which are lawful."""
    caller = CallerSettings(tenants=("acme", "globex"), allow=allow, deny=deny, enforce=enforce)
    grants, problems = compile_grants({"billing": caller}, "gateway.toml")
    assert problems == []
    return grants

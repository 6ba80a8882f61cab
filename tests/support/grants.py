"""Compiled grants of one caller, `billing`, with two tenants."""

from typing import Final

from gateway.model import Caller
from gateway.policy.grants import Grants, OperationDenied, compile_grants
from gateway.settings.callers import CallerSettings

BILLING: Final = Caller("billing", "jwt", "acme")
UUID: Final = "347c5b04-cde2-11ed-afa1-0242ac120002"


def compiled(
    allow: tuple[str, ...] | None = None, deny: tuple[str, ...] = (), *, enforce: bool = True
) -> Grants:
    """The grants of these rules, which are lawful."""
    caller = CallerSettings(tenants=("acme", "globex"), allow=allow, deny=deny, enforce=enforce)
    grants, problems = compile_grants({"billing": caller}, "gateway.toml")
    assert problems == []
    return grants


def raw(path: str) -> bytes:
    """A path, where `<id>` stands for a UUID."""
    return path.replace("<id>", UUID).encode()


def decided(grants: Grants, method: str, path: str) -> str:
    """The rule that allows a request, or `!` and the rule that refuses it."""
    try:
        return grants.decide(BILLING, (), method, raw(path)).rule
    except OperationDenied as denied:
        return f"!{denied.decision.rule}"

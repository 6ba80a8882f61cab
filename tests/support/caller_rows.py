"""The status page's rows of callers, made of settings as a reload makes them."""

from gateway.admin.configuration import callers
from gateway.admin.history import History
from gateway.admin.shown_callers import shown_callers
from gateway.admin.view import CallerSummary
from gateway.policy.grants import compile_grants
from gateway.settings.schema import Settings


def rows_of(settings: Settings, history: History, offset: float) -> CallerSummary:
    """Those of all callers of these settings."""
    grants, _ = compile_grants(settings.callers, "gateway.toml")
    return callers(shown_callers(settings), grants.policies, history, offset)

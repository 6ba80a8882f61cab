"""The claims of a token: how long it is valid, for which audience, caller and tenant. Pure.

Rule: a claim counts only in its exact type and value; if in doubt, refuse (RFC 7519, RFC 8725).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from gateway.identity.credentials import unauthenticated

# The end of the year 9999: a later time is a mistake, such as milliseconds.
_LAST_SECOND: Final = 253402300799
# Short names for the claims of Kubernetes' projected service-account tokens.
_KUBERNETES: Final[dict[str, str]] = {
    "namespace": "kubernetes.io.namespace",
    "serviceaccount": "kubernetes.io.serviceaccount.name",
}
Path = tuple[str, ...]
ABSENT: Final = object()  # a claim that is not there


@dataclass(frozen=True, slots=True)
class NameTemplate:
    """How a caller's name is made from claims: literals around one or more claim paths.

    A value that contains a character of a literal between two claims is refused: otherwise `a/b`
    and `c` would make the same name as `a` and `b/c`.
    """

    literals: tuple[str, ...]
    paths: tuple[Path, ...]

    def name(self, claims: Mapping[str, Any]) -> str:
        """The caller's name. Raises `CallerError("unauthenticated")` without usable claims."""
        separators = frozenset("".join(self.literals[1:][:-1]))
        name = self.literals[0]
        for path, literal in zip(self.paths, self.literals[1:], strict=True):
            value = find(claims, path)
            if not _is_name(value) or not separators.isdisjoint(value):
                raise unauthenticated("caller_claim")
            name += value + literal
        return name


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What an issuer's tokens must contain. In seconds; `max_age` is infinite if unbounded."""

    issuer: str
    audience: str
    leeway: float
    max_age: float
    caller: NameTemplate
    tenant: Path | None
    tenant_required: bool
    single_audience: bool = False


def split_path(text: str) -> Path:
    """Splits `kubernetes.io.serviceaccount.name` at each dot; `find` joins parts again."""
    return tuple(text.split("."))


def claim_template(path: str) -> NameTemplate:
    """The template of one claim, unchanged."""
    return NameTemplate(("", ""), (split_path(path),))


def parse_template(text: str) -> NameTemplate:
    """`{namespace}/{serviceaccount}`: claim paths in braces, or Kubernetes' two short names.

    Raises `ValueError` without a claim, with stray braces, or with two claims side by side.
    """
    parts = re.split(r"\{([^{}]+)\}", text)
    literals, names = parts[::2], parts[1::2]
    if not names or any("{" in literal or "}" in literal for literal in literals):
        raise ValueError("no claim in braces, or stray braces")
    if not all(literals[1:][:-1]):
        raise ValueError("two claims side by side")
    paths = (split_path(_KUBERNETES.get(name, name)) for name in names)
    return NameTemplate(tuple(literals), tuple(paths))


def find(claims: Mapping[str, Any], path: Path) -> Any:
    """The claim at `path`, or `ABSENT`. Keys may contain dots: the longest one at each level wins.

    So `kubernetes.io.serviceaccount.name` is found in `{"kubernetes.io": {"serviceaccount": …}}`.
    """
    for length in range(len(path), 0, -1):
        value = claims.get(".".join(path[:length]), ABSENT)
        if value is ABSENT:
            continue
        if length == len(path):
            return value
        return find(value, path[length:]) if isinstance(value, dict) else ABSENT
    return ABSENT


def valid_until(claims: Mapping[str, Any], rules: ClaimRules, now: float) -> float:
    """The second (Unix time) from which the token is refused.

    Raises `CallerError("unauthenticated")` if it has passed, or if the token is not for us.
    """
    if not _is_for_us(claims.get("aud"), rules):
        raise unauthenticated("audience")
    if _time(claims, "nbf", now) > now + rules.leeway:
        raise unauthenticated("not_yet_valid")
    issued = _time(claims, "iat", now if rules.max_age == inf else None)
    if issued > now + rules.leeway:
        raise unauthenticated("issued_in_future")
    until = min(_time(claims, "exp"), issued + rules.max_age) + rules.leeway
    if now >= until:
        raise unauthenticated("expired")
    return until


def tenant_of(claims: Mapping[str, Any], rules: ClaimRules) -> str | None:
    """The tenant that the token names, or None.

    Raises `CallerError("unauthenticated")` if the claim is not a string, or is empty.
    """
    tenant = find(claims, rules.tenant) if rules.tenant else ABSENT
    if tenant is ABSENT:
        return None
    if not isinstance(tenant, str) or not tenant:
        raise unauthenticated("tenant_claim")
    return tenant


def _is_for_us(audience: object, rules: ClaimRules) -> bool:
    """RFC 7519 4.1.3: `aud` is a string or a list of strings, one of which must be ours."""
    if isinstance(audience, str):
        return audience == rules.audience
    if not isinstance(audience, list) or not all(isinstance(one, str) for one in audience):
        return False
    # The other services of a list could show its token here.
    return audience == [rules.audience] if rules.single_audience else rules.audience in audience


def _time(claims: Mapping[str, Any], name: str, default: float | None = None) -> float:
    """A NumericDate (RFC 7519 2): a number, not a boolean or a string, within four-digit years.

    If it is absent or null: `default`; a refusal if that is None.
    """
    value = claims.get(name)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise unauthenticated(f"{name}_claim")
    try:
        seconds = float(value)
    except OverflowError:
        raise unauthenticated(f"{name}_claim") from None
    if not abs(seconds) <= _LAST_SECOND:  # so that NaN fails too
        raise unauthenticated(f"{name}_claim")
    return seconds


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()

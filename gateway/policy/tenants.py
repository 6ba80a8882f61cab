"""On whose behalf? A tenant's name, who may use it, and which one a request means.

Rule: decides; does no I/O. A tenant that this caller may not use, one that does not exist and one
whose name is malformed are the same error, so that nobody can sound out which tenants there are.
"""

import re
from collections.abc import Collection, Sequence
from fnmatch import translate
from typing import Final, NamedTuple

from gateway.errors import CallerError, Problem, tenant_denied
from gateway.model import TENANT_GLOB, TENANT_NAME, Caller

_NAME: Final = re.compile(TENANT_NAME)
_GLOB: Final = re.compile(TENANT_GLOB)
_FEW: Final = 4


class _Several(NamedTuple):
    """Exact names, and what globs (`globex-*`) cover; `entries` are both as they were listed."""

    entries: Sequence[str]
    exact: Collection[str]
    glob: re.Pattern[str] | None


class CallerTenants:
    """The tenants of one caller: `only` one, which there is no need to name, or several (or none).

    There may be very many callers with one tenant each.
    """

    __slots__ = ("_several", "only")

    def __init__(self, only: str | None, several: _Several | None) -> None:
        self.only = only
        self._several = several

    @property
    def entries(self) -> Sequence[str]:
        """Names and globs as they were listed."""
        if self._several is not None:
            return self._several.entries
        return () if self.only is None else (self.only,)

    def hold(self, name: str) -> bool:
        """Whether the caller may act for this tenant, and the name is one (letter case counts)."""
        several = self._several
        if several is None:
            return name == self.only
        if name in several.exact:
            return True
        return bool(several.glob and _NAME.fullmatch(name) and several.glob.match(name))

    def resolve(self, caller: Caller, headers: Sequence[bytes]) -> str:
        """The request's tenant: by verified claim, by header, or the only one.

        `headers` are the values of all its `X-Invopop-Tenant` fields. Raises CallerError
        (`bad_request` for more than one field, `tenant_denied`, `tenant_required`).
        """
        if len(headers) > 1:
            raise CallerError(
                "bad_request", "Send X-Invopop-Tenant at most once.", cause="two_tenants"
            )
        # Latin-1 never fails, and what it makes of other bytes is no tenant's name.
        header = headers[0].strip(b" \t").decode("latin-1") if headers else ""
        if caller.tenant is None:
            name = self._without_claim(caller, header)
        elif header in ("", caller.tenant):
            name = caller.tenant
        else:
            raise tenant_denied("claim_and_header_differ")
        if not self.hold(name):
            raise tenant_denied("not_this_callers")
        return name

    def _without_claim(self, caller: Caller, header: str) -> str:
        """The tenant of a caller whose credential names none."""
        if not caller.tenant_free:
            raise CallerError("tenant_required", "The token must name its tenant in a claim.")
        name = header or self.only
        if name is None:
            raise CallerError("tenant_required", "Name the tenant in the header X-Invopop-Tenant.")
        return name


def compile_tenants(
    entries: Sequence[str], key: str, file: str
) -> tuple[CallerTenants, list[Problem]]:
    """The tenants of a caller, whose list has the key path `key`, and every entry that is none."""
    problems = [
        Problem(
            file,
            f"{key}[{index}]",
            f"a string of {len(entry)} characters",  # not shown: it may be a pasted token
            "a tenant's name (letters, digits, `.`, `_`, `-`; at most 128) or a glob with `*`",
        )
        for index, entry in enumerate(entries)
        if not _GLOB.fullmatch(entry)
    ]
    globs = [entry for entry in entries if _GLOB.fullmatch(entry) and "*" in entry]
    names = dict.fromkeys(entry for entry in entries if _NAME.fullmatch(entry))
    if len(names) == 1 and not globs:
        return CallerTenants(next(iter(names)), None), problems
    # Most callers have few: of those a tuple takes a quarter of the memory.
    exact = tuple(names) if len(names) <= _FEW else frozenset(names)
    glob = re.compile("|".join(map(translate, globs))) if globs else None
    return CallerTenants(None, _Several(entries, exact, glob)), problems

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


class CallerTenants(NamedTuple):
    """The tenants of one caller: exact names, and what its globs (`globex-*`) cover."""

    exact: Collection[str]
    glob: re.Pattern[str] | None

    @property
    def only(self) -> str | None:
        """The one tenant there is no need to name, if there is just one exact name."""
        return next(iter(self.exact)) if len(self.exact) == 1 and self.glob is None else None

    def hold(self, name: str) -> bool:
        """Whether the caller may act for this tenant, and the name is one (letter case counts)."""
        if name in self.exact:
            return True
        return bool(self.glob and _NAME.fullmatch(name) and self.glob.match(name))

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
    # Most callers have few: of those a tuple takes a quarter of the memory.
    exact = tuple(names) if len(names) <= _FEW else frozenset(names)
    glob = re.compile("|".join(map(translate, globs))) if globs else None
    return CallerTenants(exact, glob), problems

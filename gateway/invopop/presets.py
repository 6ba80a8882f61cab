"""Presets: sets of operations under one name, `@read_only`, for `allow` and `deny`.

Rule: data and pure functions. A preset is written as names and globs of the operations table; a
glob's `*` also crosses dots. `@` marks a preset, so that none is ever taken for an operation.
"""

from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.invopop.operations import gives_credentials, names
from gateway.invopop.table import OTHER


class Preset(NamedTuple):
    """What a preset is for, and the names and globs that it stands for."""

    summary: str
    entries: tuple[str, ...]


PRESETS: Final = MappingProxyType(
    {
        "read_only": Preset(
            "every GET but what gives credentials: all that reads and changes nothing",
            (
                "*.list",
                "*.fetch",
                "*.search",
                "*.query",
                "*.count",
                "*.download",
                "apps.peppol.lookup",
                "auth.version",
                "utils.*",
            ),
        ),
        "invoicing": Preset(
            "making documents: entries, their files and states, jobs, numbers, PDF previews",
            (
                "access.workspace.fetch",
                "apps.gov-es.lookup",
                "apps.gov-fr.directory.fetch",
                "apps.pdf.preview",
                "apps.peppol.lookup",
                "auth.version",
                "files.*",
                "sequence.entries.*",
                "sequence.series.fetch",
                "sequence.series.list",
                "silo.*",
                "transform.jobs.*",
                "transform.workflows.fetch",
                "transform.workflows.list",
                "utils.*",
            ),
        ),
        "reporting": Preset(
            "reading what was made: documents and their files, jobs, numbers, tax reports",
            (
                "access.workspace.fetch",
                "apps.at-pt.saft.fetch",
                "apps.gov-fr.periods.*",
                "apps.gov-fr.reports.fetch",
                "auth.version",
                "files.fetch",
                "sequence.*.fetch",
                "sequence.*.list",
                "silo.entries.count",
                "silo.entries.fetch",
                "silo.entries.list",
                "silo.entries.query",
                "silo.entries.search",
                "silo.files.fetch",
                "silo.related.list",
                "silo.states.list",
                "silo.versions.fetch",
                "transform.jobs.fetch",
                "transform.jobs.list",
                "utils.*",
            ),
        ),
        "onboarding": Preset(
            "registering a party with its tax authority: look-ups, agreements, certificates",
            (
                "access.workspace.fetch",
                "apps.*.confirm",
                "apps.*.fetch",
                "apps.*.list",
                "apps.*.lookup",
                "apps.*.sign",
                "apps.*.submit",
                "apps.*.upload",
                "apps.at-pt.credentials.update",
                "apps.at-pt.series.create",
                "auth.version",
                "silo.entries.create",
                "silo.entries.fetch",
                "silo.entries.update",
                "utils.*",
            ),
        ),
    }
)


def globs(entry: str) -> tuple[str, ...]:
    """What an entry is made of: the names and globs of `@preset` (none if unknown), or itself."""
    if not entry.startswith("@"):
        return (entry,)
    preset = PRESETS.get(entry[1:])
    return preset.entries if preset else ()


def expand(entry: str) -> frozenset[str]:
    """The names that an operation name, a glob or `@preset` stands for; empty if it is none.

    `other`, whatever is not in the table, is among them if it is named or the glob covers it, as
    `*` does. A preset never holds what gives credentials.
    """
    known = {*names(), OTHER}
    found = frozenset(name for glob in globs(entry) for name in known if fnmatchcase(name, glob))
    if entry.startswith("@"):
        return frozenset(name for name in found if not gives_credentials(name))
    return found

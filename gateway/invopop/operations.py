"""Invopop's API as one table: every method and path template, each with the operation's name.

Law: data and pure functions. It feeds the `route` label, the policies and the sandbox; matching
walks the path's segments once, whatever the size of the table.

Names read `service.resource.verb`, in the words of Invopop's own clients. One name stands for one
meaning, so it may cover several rows: an entry is created by `POST` and by `PUT` with an id, and
fetched by id and by key. Thus `allow = ["transform.jobs.create"]` is not a trap for whoever sends
`PUT`, nor `deny = ["silo.entries.fetch"]` a fence with a hole. No name mixes reading and writing.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

OTHER: Final = "other"
"""The name and the route of whatever is not in the table."""


class Operation(NamedTuple):
    """One row: what it is called, its method, and its path with `{…}` for each parameter."""

    name: str
    method: str
    template: str


OPERATIONS: Final = (
    # The API itself
    Operation("auth.version", "GET", "/auth/version"),
    Operation("utils.ping", "GET", "/utils/v1/ping"),
    Operation("utils.uuid", "GET", "/utils/v1/uuid"),
    # Access: the workspace that a key belongs to
    Operation("access.enrollment.fetch", "GET", "/access/v1/enrollment"),
    Operation("access.enrollment.update", "PATCH", "/access/v1/enrollment"),
    Operation("access.enrollment.create", "PUT", "/access/v1/enrollment/{id}"),
    Operation("access.enrollment.authorize", "POST", "/access/v1/enrollment/authorize"),
    Operation("access.orgs.list", "GET", "/access/v1/orgs"),
    Operation("access.workspace.fetch", "GET", "/access/v1/workspace"),
    Operation("access.workspace.update", "PATCH", "/access/v1/workspace"),
    # Sequence: numbers that never repeat
    Operation("sequence.series.list", "GET", "/sequence/v1/series"),
    Operation("sequence.series.fetch", "GET", "/sequence/v1/series/{id}"),
    Operation("sequence.series.create", "PUT", "/sequence/v1/series/{id}"),
    Operation("sequence.entries.list", "GET", "/sequence/v1/series/{series_id}/entries"),
    Operation("sequence.entries.fetch", "GET", "/sequence/v1/series/{series_id}/entries/{id}"),
    Operation("sequence.entries.create", "PUT", "/sequence/v1/series/{series_id}/entries/{id}"),
    # Silo: documents, their files and their states
    Operation("silo.entries.list", "GET", "/silo/v1/entries"),
    Operation("silo.entries.create", "POST", "/silo/v1/entries"),
    Operation("silo.entries.create", "PUT", "/silo/v1/entries/{id}"),
    Operation("silo.entries.fetch", "GET", "/silo/v1/entries/{id}"),
    Operation("silo.entries.fetch", "GET", "/silo/v1/entries/key/{key}"),
    Operation("silo.entries.update", "PATCH", "/silo/v1/entries/{id}"),
    Operation("silo.entries.search", "GET", "/silo/v1/search"),
    Operation("silo.related.list", "GET", "/silo/v1/entries/related"),
    Operation("silo.related.list", "GET", "/silo/v1/entries/{id}/related"),
    Operation("silo.versions.fetch", "GET", "/silo/v1/entries/{id}/versions/{version}"),
    Operation("silo.files.create", "POST", "/silo/v1/entries/{entry_id}/files"),
    Operation("silo.files.create", "PUT", "/silo/v1/entries/{entry_id}/files/{id}"),
    Operation("silo.files.fetch", "GET", "/silo/v1/entries/{entry_id}/files/{id}"),
    Operation("silo.states.list", "GET", "/silo/v1/entries/{entry_id}/states"),
    Operation("silo.states.create", "POST", "/silo/v1/entries/{entry_id}/states"),
    Operation("silo.states.create", "PUT", "/silo/v1/entries/{entry_id}/states/{at}"),
    Operation("silo.gobl.build", "POST", "/silo/v1/gobl/build"),
    Operation("silo.gobl.correct", "POST", "/silo/v1/gobl/correct"),
    Operation("silo.gobl.sign", "POST", "/silo/v1/gobl/sign"),
    Operation("silo.spool.create", "POST", "/silo/v1/spool"),
    Operation("silo.spool.fetch", "GET", "/silo/v1/spool/{key}"),
    Operation("silo.spool.delete", "DELETE", "/silo/v1/spool/{key}"),
    # Transform: workflows, and the jobs that run them
    Operation("transform.jobs.list", "GET", "/transform/v1/jobs"),
    Operation("transform.jobs.create", "POST", "/transform/v1/jobs"),
    Operation("transform.jobs.create", "PUT", "/transform/v1/jobs/{id}"),
    Operation("transform.jobs.fetch", "GET", "/transform/v1/jobs/{id}"),
    Operation("transform.jobs.fetch", "GET", "/transform/v1/jobs/key/{key}"),
    Operation("transform.workflows.list", "GET", "/transform/v1/workflows"),
    Operation("transform.workflows.fetch", "GET", "/transform/v1/workflows/{id}"),
    Operation("transform.workflows.create", "PUT", "/transform/v1/workflows/{id}"),
    Operation("transform.workflows.update", "PATCH", "/transform/v1/workflows/{id}"),
    # Apps: PDF, Peppol, and one per tax authority
    Operation("apps.pdf.preview", "POST", "/apps/pdf/v1/preview"),
    Operation("apps.peppol.lookup", "GET", "/apps/peppol/v1/lookup"),
    Operation(
        "apps.peppol.ownership.upload", "POST", "/apps/peppol/v1/entry/{silo_entry_id}/ownership"
    ),
    Operation(
        "apps.at-pt.credentials.update", "POST", "/apps/at-pt/v1/entry/{silo_entry_id}/credentials"
    ),
    Operation("apps.at-pt.series.list", "GET", "/apps/at-pt/v1/entry/{silo_entry_id}/series"),
    Operation("apps.at-pt.series.create", "POST", "/apps/at-pt/v1/entry/{silo_entry_id}/series"),
    Operation("apps.at-pt.series.fetch", "GET", "/apps/at-pt/v1/entry/{silo_entry_id}/series/{id}"),
    Operation("apps.at-pt.saft.fetch", "GET", "/apps/at-pt/v1/entry/{silo_entry_id}/saft"),
    Operation("apps.gov-es.lookup", "POST", "/apps/gov-es/v1/lookup"),
    Operation(
        "apps.gov-es.agreement.fetch",
        "GET",
        "/apps/gov-es/v1/entry/{silo_entry_id}/{system}/agreement",
    ),
    Operation(
        "apps.gov-es.agreement.upload",
        "POST",
        "/apps/gov-es/v1/entry/{silo_entry_id}/{system}/agreement",
    ),
    Operation(
        "apps.gov-es.identity.upload",
        "POST",
        "/apps/gov-es/v1/entry/{silo_entry_id}/{system}/identity",
    ),
    Operation(
        "apps.gov-es.confirm", "POST", "/apps/gov-es/v1/entry/{silo_entry_id}/{system}/confirm"
    ),
    Operation("apps.gov-fr.directory.fetch", "GET", "/apps/gov-fr/v1/directory/siren/{siren}"),
    Operation(
        "apps.gov-fr.directory.fetch", "GET", "/apps/gov-fr/v1/directory/identifier/{identifier}"
    ),
    Operation(
        "apps.gov-fr.agreement.fetch", "GET", "/apps/gov-fr/v1/entry/{silo_entry_id}/agreement"
    ),
    Operation(
        "apps.gov-fr.agreement.upload", "POST", "/apps/gov-fr/v1/entry/{silo_entry_id}/agreement"
    ),
    Operation(
        "apps.gov-fr.identity.upload", "POST", "/apps/gov-fr/v1/entry/{silo_entry_id}/identity"
    ),
    Operation("apps.gov-fr.sign", "POST", "/apps/gov-fr/v1/entry/{silo_entry_id}/sign"),
    Operation("apps.gov-fr.confirm", "POST", "/apps/gov-fr/v1/entry/{silo_entry_id}/confirm"),
    Operation("apps.gov-fr.reports.fetch", "GET", "/apps/gov-fr/v1/reports/{silo_entry_id}"),
    Operation("apps.gov-fr.periods.list", "GET", "/apps/gov-fr/v1/reports/{silo_entry_id}/periods"),
    Operation(
        "apps.gov-fr.periods.fetch",
        "GET",
        "/apps/gov-fr/v1/reports/{silo_entry_id}/periods/{period_id}",
    ),
    Operation(
        "apps.gov-fr.periods.download",
        "GET",
        "/apps/gov-fr/v1/reports/{silo_entry_id}/periods/{period_id}/xml",
    ),
    Operation(
        "apps.gov-pl.certificate.upload",
        "POST",
        "/apps/gov-pl/v1/entry/{silo_entry_id}/certificate",
    ),
    Operation("apps.gov-sa.otp.submit", "POST", "/apps/gov-sa/v1/entry/{silo_entry_id}/otp"),
    Operation(
        "apps.sw-sapien.certificate.upload",
        "POST",
        "/apps/sw-sapien/v1/entry/{silo_entry_id}/certificate",
    ),
    Operation(
        "apps.verifactu.agreement.fetch",
        "GET",
        "/apps/verifactu/v1/entry/{silo_entry_id}/agreement",
    ),
    Operation(
        "apps.verifactu.agreement.upload",
        "POST",
        "/apps/verifactu/v1/entry/{silo_entry_id}/agreement",
    ),
    Operation(
        "apps.verifactu.identity.upload",
        "POST",
        "/apps/verifactu/v1/entry/{silo_entry_id}/identity",
    ),
    Operation("apps.verifactu.confirm", "POST", "/apps/verifactu/v1/entry/{silo_entry_id}/confirm"),
)


class _Node(NamedTuple):
    """Where a walk stands after some segments: what may follow, and what ends here, by method."""

    literals: dict[str, "_Node"]
    parameter: "_Node | None"
    operations: dict[str, Operation]


def segments_of(template: str) -> tuple[str, ...]:
    """The segments of a path template, parameters still in braces."""
    return tuple(template.split("/")[1:])


def is_parameter(segment: str) -> bool:
    """Whether this segment of a template stands for any one segment of a path."""
    return segment.startswith("{")


def match(method: str, segments: Sequence[str]) -> Operation | None:
    """The operation of a request, by its decoded path segments; None if the table has none.

    A literal wins over a parameter, the earlier segment first; `HEAD` counts as `GET`.
    """
    node = _tree()
    for segment in segments:
        after = node.literals.get(segment, node.parameter)
        if after is None:
            return None
        node = after
    return node.operations.get("GET" if method == "HEAD" else method)


def split_path(path: bytes) -> tuple[str, ...]:
    """The percent-decoded segments of a path that begins with `/`; one trailing slash is ignored.

    Segments are split before they are decoded, so an escaped slash stays within its own (RFC 3986
    2.2). Raises UnicodeDecodeError unless the path is ASCII and its escapes are UTF-8.
    """
    text = path.decode("ascii")
    segments = text[1:-1].split("/") if text[-1:] == "/" else text[1:].split("/")
    if "%" in text:
        return tuple(unquote_to_bytes(segment).decode() for segment in segments)
    return tuple(segments) if segments != [""] else ()


@cache
def names() -> frozenset[str]:
    """The name of every operation."""
    return frozenset(operation.name for operation in OPERATIONS)


@cache
def _tree() -> _Node:
    """The table as a tree, made on first use. Rows go in by precedence: literals first."""
    rows = [(segments_of(operation.template), operation) for operation in OPERATIONS]
    return _grow(sorted(rows, key=lambda row: [is_parameter(segment) for segment in row[0]]))


_Row = tuple[tuple[str, ...], Operation]


def _grow(rows: list[_Row]) -> _Node:
    """A node from the rows that are still possible, each with its segments that are left.

    A literal's branch also holds the rows that have a parameter there. So no walk ever has to turn
    back: `PUT /silo/v1/entries/related` finds the row of `{id}`, for `related` knows only `GET`.
    """
    heads = {segments[0] for segments, _ in rows if segments}
    operations: dict[str, Operation] = {}
    for segments, operation in rows:
        if not segments:
            operations.setdefault(operation.method, operation)
    branches = {head: _grow(_after(head, rows)) for head in heads if not is_parameter(head)}
    anything = _after("{}", rows)
    return _Node(branches, _grow(anything) if anything else None, operations)


def _after(head: str, rows: Iterable[_Row]) -> list[_Row]:
    """The rows that a segment leaves possible, without that segment, their order kept."""
    return [
        (segments[1:], operation)
        for segments, operation in rows
        if segments and (segments[0] == head or is_parameter(segments[0]))
    ]

"""The table of Invopop's API: every method and path template, with the name of its operation.

Rule: data only. `python -m tests.openapi DIRECTORY` compares it with Invopop's OpenAPI documents.

Names read `service.resource.verb`, in the words of Invopop's own clients. One name stands for one
meaning, so it may cover several rows: an entry is created by `POST` and by `PUT` with an id, and
fetched by id and by key. So `allow = ["transform.jobs.create"]` does not fail whoever sends `PUT`,
and `deny = ["silo.entries.fetch"]` has no gap. No name mixes reading and writing.
"""

from dataclasses import dataclass
from typing import Final

OTHER: Final = "other"
"""The name and the route of whatever is not in the table."""

UUID_PARAMETERS: Final = frozenset({"id", "entry_id", "series_id", "silo_entry_id", "period_id"})
"""Parameters whose values are always UUIDs, of any version; others hold any one segment."""

CREDENTIALS: Final = "access.enrollment."
"""How the names of operations begin whose replies hold a token for Invopop's API."""

NOT_ABOUT_KEYS: Final = (("access", "enrollment"), ("access", "orgs"))
"""Where a 401 is about credentials in the request, or about whose key it is: the first segments of
paths, less the version."""

FILES_PREFIX: Final = b"/.files/"
"""How a path begins that means a file: `/.files/HOST/PATH`. No such path goes to the upstream."""


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
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
    Operation("access.enrollment.update", "POST", "/access/v1/enrollment"),
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
    Operation("silo.entries.import", "POST", "/silo/v1/entries/import"),
    Operation("silo.entries.import", "PUT", "/silo/v1/entries/{id}/import"),
    Operation("silo.entries.query", "GET", "/silo/v1/entries/query"),
    Operation("silo.entries.count", "GET", "/silo/v1/entries/query/count"),
    Operation("silo.related.list", "GET", "/silo/v1/entries/related"),
    Operation("silo.related.list", "GET", "/silo/v1/entries/{id}/related"),
    Operation("silo.versions.fetch", "GET", "/silo/v1/entries/{id}/versions/{version}"),
    Operation("silo.files.create", "POST", "/silo/v1/entries/{entry_id}/files"),
    Operation("silo.files.create", "PUT", "/silo/v1/entries/{entry_id}/files/{id}"),
    Operation("silo.files.fetch", "GET", "/silo/v1/entries/{entry_id}/files/{id}"),
    Operation("silo.files.upload", "PUT", "/silo/v1/entries/{entry_id}/files/{id}/data"),
    # What files were called before
    Operation("silo.files.create", "PUT", "/silo/v1/entries/{entry_id}/attachments/{id}"),
    Operation("silo.files.fetch", "GET", "/silo/v1/entries/{entry_id}/attachments/{id}"),
    # For enrolled applications: data of their own, beside an entry
    Operation("silo.meta.list", "GET", "/silo/v1/entries/{entry_id}/meta"),
    Operation("silo.meta.fetch", "GET", "/silo/v1/entries/{entry_id}/meta/{key}"),
    Operation("silo.meta.fetch", "GET", "/silo/v1/entries/meta/{key}/{ref}"),
    Operation("silo.meta.set", "PUT", "/silo/v1/entries/{entry_id}/meta/{key}"),
    Operation("silo.meta.set", "PUT", "/silo/v1/entries/meta/{key}"),
    Operation("silo.meta.delete", "DELETE", "/silo/v1/entries/{entry_id}/meta/{key}"),
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
    Operation("transform.jobs.intents.update", "POST", "/transform/v1/jobs/intents"),
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

FILE_OPERATIONS: Final = (
    Operation("files.fetch", "GET", "/.files/{host}/{path}"),
    Operation("files.upload", "PUT", "/.files/{host}/{path}"),
    Operation("files.upload", "POST", "/.files/{host}/{path}"),
)
"""Files on `upstream.file_hosts`, reached without a key. `{path}` may hold many segments."""

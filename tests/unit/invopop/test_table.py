"""The table of operations: it is Invopop's published API, with what its clients call besides."""

from collections import Counter

import pytest

from gateway.invopop.operations import is_parameter, names, segments_of
from gateway.invopop.table import FILE_OPERATIONS, FILES_PREFIX, OPERATIONS, UUID_PARAMETERS

# Methods and path templates of Invopop's published OpenAPI documents, all services and apps.
PUBLISHED = """
GET PATCH /access/v1/enrollment
PUT /access/v1/enrollment/{id}
POST /access/v1/enrollment/authorize
GET /access/v1/orgs
GET PATCH /access/v1/workspace
GET /sequence/v1/series
GET PUT /sequence/v1/series/{id}
GET /sequence/v1/series/{series_id}/entries
GET PUT /sequence/v1/series/{series_id}/entries/{id}
GET POST /silo/v1/entries
POST /silo/v1/entries/{entry_id}/files
GET PUT /silo/v1/entries/{entry_id}/files/{id}
GET POST /silo/v1/entries/{entry_id}/states
PUT /silo/v1/entries/{entry_id}/states/{at}
GET PATCH PUT /silo/v1/entries/{id}
GET /silo/v1/entries/{id}/related
GET /silo/v1/entries/{id}/versions/{version}
GET /silo/v1/entries/key/{key}
GET /silo/v1/entries/related
POST /silo/v1/gobl/build
POST /silo/v1/gobl/correct
POST /silo/v1/gobl/sign
GET /silo/v1/search
POST /silo/v1/spool
DELETE GET /silo/v1/spool/{key}
POST GET /transform/v1/jobs
GET PUT /transform/v1/jobs/{id}
GET /transform/v1/jobs/key/{key}
GET /transform/v1/workflows
GET PATCH PUT /transform/v1/workflows/{id}
GET /utils/v1/ping
GET /utils/v1/uuid
POST /apps/at-pt/v1/entry/{silo_entry_id}/credentials
GET POST /apps/at-pt/v1/entry/{silo_entry_id}/series
GET /apps/at-pt/v1/entry/{silo_entry_id}/series/{id}
GET /apps/at-pt/v1/entry/{silo_entry_id}/saft
GET POST /apps/gov-es/v1/entry/{silo_entry_id}/{system}/agreement
POST /apps/gov-es/v1/entry/{silo_entry_id}/{system}/identity
POST /apps/gov-es/v1/lookup
POST /apps/gov-es/v1/entry/{silo_entry_id}/{system}/confirm
GET /apps/gov-fr/v1/directory/siren/{siren}
GET /apps/gov-fr/v1/directory/identifier/{identifier}
GET POST /apps/gov-fr/v1/entry/{silo_entry_id}/agreement
POST /apps/gov-fr/v1/entry/{silo_entry_id}/identity
POST /apps/gov-fr/v1/entry/{silo_entry_id}/sign
POST /apps/gov-fr/v1/entry/{silo_entry_id}/confirm
GET /apps/gov-fr/v1/reports/{silo_entry_id}
GET /apps/gov-fr/v1/reports/{silo_entry_id}/periods
GET /apps/gov-fr/v1/reports/{silo_entry_id}/periods/{period_id}
GET /apps/gov-fr/v1/reports/{silo_entry_id}/periods/{period_id}/xml
POST /apps/gov-pl/v1/entry/{silo_entry_id}/certificate
POST /apps/gov-sa/v1/entry/{silo_entry_id}/otp
POST /apps/pdf/v1/preview
GET /apps/peppol/v1/lookup
POST /apps/peppol/v1/entry/{silo_entry_id}/ownership
POST /apps/sw-sapien/v1/entry/{silo_entry_id}/certificate
GET POST /apps/verifactu/v1/entry/{silo_entry_id}/agreement
POST /apps/verifactu/v1/entry/{silo_entry_id}/identity
POST /apps/verifactu/v1/entry/{silo_entry_id}/confirm
"""

# What the official Go client calls, or newer pages of docs.invopop.com describe, besides.
BESIDES = """
GET /auth/version
POST /access/v1/enrollment
GET /silo/v1/entries/query
GET /silo/v1/entries/query/count
POST /silo/v1/entries/import
PUT /silo/v1/entries/{id}/import
PUT /silo/v1/entries/{entry_id}/files/{id}/data
GET PUT /silo/v1/entries/{entry_id}/attachments/{id}
GET /silo/v1/entries/{entry_id}/meta
GET PUT DELETE /silo/v1/entries/{entry_id}/meta/{key}
GET /silo/v1/entries/meta/{key}/{ref}
PUT /silo/v1/entries/meta/{key}
POST /transform/v1/jobs/intents
"""


def rows_of(text: str) -> Counter[tuple[str, str]]:
    rows = (line.split() for line in text.strip().splitlines())
    return Counter((method, row[-1]) for row in rows for method in row[:-1])


def test_the_table_is_the_published_api_and_what_clients_call_besides() -> None:
    """Every method and path has one row, and nothing else has."""
    rows = Counter((operation.method, operation.template) for operation in OPERATIONS)
    assert rows == rows_of(PUBLISHED) + rows_of(BESIDES)
    assert set(rows.values()) == {1}


READING = {"list", "fetch", "search", "query", "count", "download", "lookup"}
READING |= {"version", "ping", "uuid"}


@pytest.mark.parametrize("name", sorted(names()))
def test_a_name_means_one_thing(name: str) -> None:
    """A name's rows all read or all write, within one service; its verb says which."""
    rows = [operation for operation in (*OPERATIONS, *FILE_OPERATIONS) if operation.name == name]
    assert len({operation.method == "GET" for operation in rows}) == 1
    # The one look-up that Invopop made a POST, for what it looks up is in the body.
    reads = name.rsplit(".", 1)[1] in READING and name != "apps.gov-es.lookup"
    assert reads == (rows[0].method == "GET")
    services = {segments_of(operation.template)[0].removeprefix(".") for operation in rows}
    assert services == {name.split(".", maxsplit=1)[0]}


def test_literals_are_lower_case_ascii() -> None:
    """Case-folding a path can find an operation, because no literal has another case."""
    literals = {part for row in OPERATIONS for part in segments_of(row.template)}
    assert all(part == part.casefold() and part.isascii() for part in literals)


def test_no_path_of_the_upstream_begins_as_a_file_does() -> None:
    """What means a file can never be taken for one of Invopop's own paths."""
    assert not any(row.template.encode().startswith(FILES_PREFIX) for row in OPERATIONS)
    assert all(row.template.encode().startswith(FILES_PREFIX) for row in FILE_OPERATIONS)


def test_whatever_is_called_an_id_is_a_uuid() -> None:
    """Every parameter that Invopop describes as a UUID is typed, and no other."""
    parameters = {
        part[1:-1] for row in OPERATIONS for part in segments_of(row.template) if is_parameter(part)
    }
    assert parameters >= UUID_PARAMETERS
    free = {"key", "ref", "at", "version", "system", "siren", "identifier"}
    assert parameters - UUID_PARAMETERS == free

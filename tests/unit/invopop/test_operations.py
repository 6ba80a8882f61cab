"""The operations table: it is Invopop's published API, and finds a request's operation in it."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.invopop import operations
from gateway.invopop.operations import (
    OPERATIONS,
    Operation,
    is_parameter,
    match,
    names,
    segments_of,
    split_path,
)


@pytest.fixture(autouse=True)
def _anew() -> None:
    """The table's tree is made in each test, as in a fresh process."""
    operations._tree.cache_clear()


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

READING = {"list", "fetch", "search", "download", "lookup", "version", "ping", "uuid"}


def published() -> Counter[tuple[str, str]]:
    rows = (line.split() for line in PUBLISHED.strip().splitlines())
    return Counter((method, row[-1]) for row in rows for method in row[:-1])


def found(method: str, path: bytes) -> Operation | None:
    return match(method, split_path(path))


def reference(method: str, segments: tuple[str, ...]) -> Operation | None:
    """The table's rule, spelt out: of all rows that fit, the one with the earliest literals."""
    method = "GET" if method == "HEAD" else method
    fitting = [
        operation
        for operation in OPERATIONS
        if operation.method == method
        and len(segments_of(operation.template)) == len(segments)
        and all(
            is_parameter(expected) or expected == segment
            for expected, segment in zip(segments_of(operation.template), segments, strict=True)
        )
    ]
    return min(
        fitting,
        key=lambda operation: [is_parameter(part) for part in segments_of(operation.template)],
        default=None,
    )


def test_the_table_is_the_published_api_and_the_version_endpoint() -> None:
    """Every published method and path has one row, and nothing else has but `GET /auth/version`."""
    rows = Counter((operation.method, operation.template) for operation in OPERATIONS)
    assert rows == published() + Counter([("GET", "/auth/version")])
    assert set(rows.values()) == {1}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda row: f"{row.method} {row.template}")
def test_every_row_is_found_by_its_own_template(operation: Operation) -> None:
    """A path made of a template is that template's operation, whatever its parameters hold."""
    for value in ("5b45453c-cdd0-11ed", "a/b", "né", "*"):
        parts = segments_of(operation.template)
        segments = [value if is_parameter(part) else part for part in parts]
        assert match(operation.method, segments) is operation


@pytest.mark.parametrize("name", sorted(names()))
def test_a_name_means_one_thing(name: str) -> None:
    """A name's rows all read or all write, within one service; its verb says which."""
    rows = [operation for operation in OPERATIONS if operation.name == name]
    assert len({operation.method == "GET" for operation in rows}) == 1
    # The one look-up that Invopop made a POST, for what it looks up is in the body.
    reads = name.rsplit(".", 1)[1] in READING and name != "apps.gov-es.lookup"
    assert reads == (rows[0].method == "GET")
    services = {tuple(segments_of(operation.template)[:1]) for operation in rows}
    assert services == {(name.split(".", maxsplit=1)[0],)}


def test_literals_are_lower_case_ascii() -> None:
    """Case-folding a path can find an operation, because no literal has another case."""
    literals = {part for row in OPERATIONS for part in segments_of(row.template)}
    assert all(part == part.casefold() and part.isascii() for part in literals)


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", b"/silo/v1/entries", "silo.entries.create"),
        ("PUT", b"/silo/v1/entries/e1", "silo.entries.create"),
        ("GET", b"/silo/v1/entries/key/INV-1", "silo.entries.fetch"),
        ("POST", b"/transform/v1/jobs", "transform.jobs.create"),
        ("PUT", b"/transform/v1/jobs/j1", "transform.jobs.create"),
        ("GET", b"/transform/v1/jobs/j1", "transform.jobs.fetch"),
        ("GET", b"/access/v1/workspace", "access.workspace.fetch"),
        ("POST", b"/apps/pdf/v1/preview", "apps.pdf.preview"),
        ("GET", b"/auth/version", "auth.version"),
        ("HEAD", b"/auth/version", "auth.version"),
        ("GET", b"/auth/version/", "auth.version"),
        ("GET", b"/silo/v1/entries/related", "silo.related.list"),
        ("GET", b"/silo/v1/entries/e1/related", "silo.related.list"),
        ("GET", b"/silo/v1/entries/key/related", "silo.entries.fetch"),
        ("PUT", b"/silo/v1/entries/related", "silo.entries.create"),
        ("GET", b"/silo/v1/entries/related/related", "silo.related.list"),
        ("PUT", b"/silo/v1/entries/key/files/f1", "silo.files.create"),
        ("GET", b"/silo/v1/entries/a%2Fb", "silo.entries.fetch"),
        ("GET", b"/silo/v1/e%6Etries", "silo.entries.list"),
    ],
)
def test_a_request_has_the_operation_that_its_path_means(
    method: str, path: bytes, name: str
) -> None:
    """Literals win over parameters, HEAD is GET, and a parameter serves where a literal cannot."""
    operation = found(method, path)
    assert operation is not None
    assert operation.name == name


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", b"/"),
        ("GET", b"/silo"),
        ("GET", b"/silo/v1"),
        ("GET", b"/Silo/v1/entries"),
        ("GET", b"/silo/V1/entries"),
        ("GET", b"/silo/v2/entries"),
        ("GET", b"/silo/v1/entries%2Fe1"),
        ("GET", b"/silo/v1/entries/e1/files"),
        ("GET", b"/silo/v1/entries/e1/x"),
        ("DELETE", b"/silo/v1/entries/e1"),
        ("get", b"/silo/v1/entries"),
        ("OPTIONS", b"/silo/v1/entries"),
        ("GET", b"/auth/version/x"),
        ("GET", b"/auth/versions"),
    ],
)
def test_a_near_miss_is_no_operation(method: str, path: bytes) -> None:
    """What is not in the table has no operation: no prefix, no other case, no other method."""
    assert found(method, path) is None


PARTS = sorted({part for row in OPERATIONS for part in segments_of(row.template)})


@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    st.sampled_from(OPERATIONS),
    st.data(),
)
def test_matching_agrees_with_the_rule_spelt_out(
    method: str, operation: Operation, data: st.DataObject
) -> None:
    """The tree gives what a search of the whole table would: the earliest literals win."""
    segments = tuple(
        data.draw(st.sampled_from([part, *PARTS]))
        if is_parameter(part) or data.draw(st.booleans())
        else part
        for part in segments_of(operation.template)
    )
    assert match(method, segments) == reference(method, segments)


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        (b"/", ()),
        (b"/a", ("a",)),
        (b"/a/", ("a",)),
        (b"/a/b", ("a", "b")),
        (b"/a%2Fb/c", ("a/b", "c")),
        (b"/a%2fb/", ("a/b",)),
        (b"/caf%C3%A9/%20", ("café", " ")),
        (b"/a%252Fb", ("a%2Fb",)),
        (b"/a+b", ("a+b",)),
    ],
)
def test_a_path_is_split_before_it_is_decoded(path: bytes, segments: tuple[str, ...]) -> None:
    """Segments are decoded once, an escaped slash stays in its own, one trailing slash is none."""
    assert split_path(path) == segments


@pytest.mark.parametrize("path", [b"/%ff", b"/a/%C3", b"/\xff"])
def test_what_is_no_utf8_is_an_error(path: bytes) -> None:
    """A path that cannot be decoded is never matched by guesswork."""
    with pytest.raises(UnicodeDecodeError):
        split_path(path)

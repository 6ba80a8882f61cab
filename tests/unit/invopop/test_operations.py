"""Finding a request's operation in the table, by the segments of its path."""

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.invopop import operations
from gateway.invopop.operations import (
    gives_credentials,
    is_parameter,
    is_uuid_parameter,
    match,
    match_file,
    may_not_be_about_the_key,
    names,
    segments_of,
    split_path,
)
from gateway.invopop.table import FILE_OPERATIONS, OPERATIONS, Operation

UUID = "347c5b04-cde2-11ed-afa1-0242ac120002"


@pytest.fixture(autouse=True)
def _anew() -> None:
    """The table's tree is made in each test, as in a fresh process."""
    operations._tree.cache_clear()


def found(method: str, path: bytes) -> Operation | None:
    return match(method, split_path(path))


def fits(expected: str, segment: str) -> bool:
    if is_uuid_parameter(expected):
        return re.fullmatch("[0-9a-f-]{36}", segment.lower()) is not None
    return is_parameter(expected) or expected == segment


def reference(method: str, segments: tuple[str, ...]) -> Operation | None:
    """The table's rule, spelt out: of all rows that fit, the one with the earliest literals."""
    method = "GET" if method == "HEAD" else method
    fitting = [
        operation
        for operation in OPERATIONS
        if operation.method == method
        and len(segments_of(operation.template)) == len(segments)
        and all(map(fits, segments_of(operation.template), segments))
    ]
    return min(
        fitting,
        key=lambda operation: [is_parameter(part) for part in segments_of(operation.template)],
        default=None,
    )


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda row: f"{row.method} {row.template}")
def test_every_row_is_found_by_its_own_template(operation: Operation) -> None:
    """A path made of a template is that template's operation, whatever its parameters hold."""
    parts = segments_of(operation.template)
    for value in (UUID, "a/b", "né", "*"):
        filled = [value if is_parameter(part) else part for part in parts]
        segments = [
            UUID if is_uuid_parameter(part) else text
            for part, text in zip(parts, filled, strict=True)
        ]
        assert match(operation.method, segments) is operation


@pytest.mark.parametrize(
    "operation",
    [row for row in OPERATIONS if any(map(is_uuid_parameter, segments_of(row.template)))],
    ids=lambda row: f"{row.method} {row.template}",
)
def test_a_uuid_parameter_holds_nothing_else(operation: Operation) -> None:
    """What is always a UUID matches no other text: no other operation's literal, no short form."""
    parts = segments_of(operation.template)
    for at in (at for at, part in enumerate(parts) if is_uuid_parameter(part)):
        for other in ("query", "related", "key", "", UUID[:-1], UUID + "0", UUID.replace("-", "")):
            segments = [UUID if is_parameter(part) else part for part in parts]
            segments[at] = other
            assert match(operation.method, segments) is not operation


@given(st.uuids(), st.booleans())
def test_any_uuid_is_one(value: uuid.UUID, capitals: bool) -> None:
    """Of any version, and in capitals too."""
    text = str(value).upper() if capitals else str(value)
    operation = match("GET", ("silo", "v1", "entries", text))
    assert operation is not None
    assert operation.name == "silo.entries.fetch"


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/silo/v1/entries", "silo.entries.create"),
        ("PUT", f"/silo/v1/entries/{UUID}", "silo.entries.create"),
        ("GET", "/silo/v1/entries/key/INV-1", "silo.entries.fetch"),
        ("GET", "/silo/v1/entries/query", "silo.entries.query"),
        ("GET", "/silo/v1/entries/query/count", "silo.entries.count"),
        ("POST", "/silo/v1/entries/import", "silo.entries.import"),
        ("PUT", f"/silo/v1/entries/{UUID}/files/{UUID}/data", "silo.files.upload"),
        ("PUT", f"/silo/v1/entries/{UUID}/attachments/{UUID}", "silo.files.create"),
        ("GET", f"/silo/v1/entries/{UUID}/meta", "silo.meta.list"),
        ("GET", f"/silo/v1/entries/{UUID}/meta/k", "silo.meta.fetch"),
        ("GET", "/silo/v1/entries/meta/k/r", "silo.meta.fetch"),
        ("PUT", "/silo/v1/entries/meta/k", "silo.meta.set"),
        ("DELETE", f"/silo/v1/entries/{UUID}/meta/k", "silo.meta.delete"),
        ("POST", "/transform/v1/jobs", "transform.jobs.create"),
        ("PUT", f"/transform/v1/jobs/{UUID}", "transform.jobs.create"),
        ("GET", f"/transform/v1/jobs/{UUID}", "transform.jobs.fetch"),
        ("POST", "/transform/v1/jobs/intents", "transform.jobs.intents.update"),
        ("GET", "/access/v1/workspace", "access.workspace.fetch"),
        ("POST", "/access/v1/enrollment", "access.enrollment.update"),
        ("POST", "/apps/pdf/v1/preview", "apps.pdf.preview"),
        ("GET", "/auth/version", "auth.version"),
        ("HEAD", "/auth/version", "auth.version"),
        ("GET", "/auth/version/", "auth.version"),
        ("GET", "/silo/v1/entries/related", "silo.related.list"),
        ("GET", f"/silo/v1/entries/{UUID}/related", "silo.related.list"),
        ("GET", "/silo/v1/entries/key/related", "silo.entries.fetch"),
        ("GET", "/silo/v1/entries/key/a%2Fb", "silo.entries.fetch"),
        ("GET", "/silo/v1/e%6Etries", "silo.entries.list"),
    ],
)
def test_a_request_has_the_operation_that_its_path_means(method: str, path: str, name: str) -> None:
    """Literals win over parameters, HEAD is GET, and an escape is what it stands for."""
    operation = found(method, path.encode())
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
        ("GET", b"/silo/v1/entries/e1"),
        ("PUT", b"/silo/v1/entries/related"),
        ("GET", b"/silo/v1/entries/query;x"),
        ("GET", f"/silo/v1/entries/{UUID}/files".encode()),
        ("GET", f"/silo/v1/entries/{UUID}/x".encode()),
        ("DELETE", f"/silo/v1/entries/{UUID}".encode()),
        ("GET", b"/.files/silo.invopop.com/x"),
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
        data.draw(st.sampled_from([UUID, UUID.upper(), part, *PARTS]))
        if is_parameter(part) or data.draw(st.booleans())
        else part
        for part in segments_of(operation.template)
    )
    assert match(method, segments) == reference(method, segments)


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", b"/.files/silo.invopop.com/a/b", "files.fetch"),
        ("HEAD", b"/.files/silo.invopop.com/a", "files.fetch"),
        ("PUT", b"/.files/silo.invopop.com/a", "files.upload"),
        ("POST", b"/.files/silo.invopop.com/a", "files.upload"),
        ("DELETE", b"/.files/silo.invopop.com/a", None),
        ("GET", b"/.files", None),
        ("GET", b"/%2Efiles/silo.invopop.com/a", None),
        ("GET", b"/.FILES/silo.invopop.com/a", None),
        ("GET", b"/silo/v1/entries", None),
    ],
)
def test_a_file_is_known_by_how_its_path_begins(method: str, path: bytes, name: str | None) -> None:
    """Byte for byte: another spelling of the prefix is an unknown path of the upstream."""
    operation = match_file(method, path)
    assert (operation.name if operation else None) == name
    assert operation is None or operation in FILE_OPERATIONS


def test_what_gives_credentials() -> None:
    """All of `access.enrollment`, and nothing else."""
    closed = {name for name in names() if gives_credentials(name)}
    verbs = ("fetch", "update", "create", "authorize")
    assert closed == {f"access.enrollment.{verb}" for verb in verbs}


def test_no_literal_stands_beside_a_parameter_of_any_text() -> None:
    """So that no reading of a parameter's value can make it another operation."""

    def walk(node: operations._Node) -> None:
        assert not ((node.literals or node.uuid) and node.anything)
        for after in (*node.literals.values(), node.uuid, node.anything):
            if after is not None:
                walk(after)

    walk(operations._tree())


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


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/access/v1/orgs", True),
        (b"/access/v1/enrollment/authorize", True),
        (b"/%2561ccess/V2;x/orgs%20/1", True),
        (b"/access%2Fv1%2Fenrollment%3Fx", True),
        (b"/access/orgs", True),
        (b"/access/v1/orgsx", False),
        (b"/access/v1/workspace", False),
        (b"/silo/v1/access/orgs", False),
        (b"/access", False),
        (b"/", False),
    ],
)
def test_where_a_401_may_not_be_about_the_key(path: bytes, expected: bool) -> None:
    """By the beginning of the path, however it is spelt."""
    assert may_not_be_about_the_key(path) is expected

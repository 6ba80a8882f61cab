"""Presets: what each name stands for."""

import re
from fnmatch import fnmatchcase

import pytest

from gateway.invopop.operations import gives_credentials, names
from gateway.invopop.presets import PRESETS, expand, globs
from gateway.invopop.table import FILE_OPERATIONS, OPERATIONS, OTHER

READS = {
    row.name
    for row in (*OPERATIONS, *FILE_OPERATIONS)
    if row.method == "GET" and not gives_credentials(row.name)
}


def test_read_only_is_every_get_but_of_credentials_and_nothing_else() -> None:
    """`@read_only` lets a caller read all there is and change nothing, nor become anybody."""
    assert expand("@read_only") == READS


def test_reporting_reads_only() -> None:
    """`@reporting` is a part of `@read_only`."""
    assert expand("@reporting") < READS


def test_invoicing_can_make_a_document_but_not_change_the_workspace() -> None:
    """`@invoicing` covers the way of an invoice, and no administration."""
    allowed = expand("@invoicing")
    assert {"silo.entries.create", "transform.jobs.create", "transform.jobs.fetch"} <= allowed
    assert {"sequence.entries.create", "silo.files.fetch", "apps.pdf.preview"} <= allowed
    assert not allowed & {
        "access.workspace.update",
        "access.enrollment.create",
        "transform.workflows.create",
        "transform.workflows.update",
        "sequence.series.create",
    }


def test_onboarding_covers_every_upload_to_an_app() -> None:
    """`@onboarding` registers a party with any tax authority, and issues nothing."""
    allowed = expand("@onboarding")
    assert {name for name in names() if re.fullmatch("apps.*upload", name)} <= allowed
    assert "transform.jobs.create" not in allowed


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_no_part_of_a_preset_is_idle(preset: str) -> None:
    """Each name or glob of a preset stands for an operation, and none for what is unknown."""
    for glob in PRESETS[preset].entries:
        assert any(fnmatchcase(name, glob) for name in names()), glob
    assert OTHER not in expand(f"@{preset}")
    assert not any(map(gives_credentials, expand(f"@{preset}")))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("silo.entries.create", {"silo.entries.create"}),
        ("silo.gobl.*", {"silo.gobl.build", "silo.gobl.correct", "silo.gobl.sign"}),
        ("utils.????", {"utils.ping", "utils.uuid"}),
        ("*", names() | {OTHER}),
        (OTHER, {OTHER}),
        ("Silo.*", set()),
        ("silo", set()),
        ("silo.entries.creat", set()),
        ("@nothing", set()),
        ("read_only", set()),
        ("", set()),
    ],
)
def test_an_entry_stands_for_the_operations_that_it_covers(entry: str, expected: set[str]) -> None:
    """A glob crosses dots and heeds letter case; `*` alone also covers what the table lacks."""
    assert expand(entry) == expected


def test_a_preset_is_made_of_its_globs() -> None:
    """What `@preset` is made of can be shown; an unknown one is made of nothing."""
    assert globs("@reporting") == PRESETS["reporting"].entries
    assert globs("silo.*") == ("silo.*",)
    assert globs("@nothing") == ()

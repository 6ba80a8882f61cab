"""Every client on this machine in every form that it knows, as the table in the page says."""

import os
from collections.abc import Iterator

import pytest

from tests.integration.clients.known import CLIENTS, FORMS
from tests.integration.clients.matrix import Matrix, rows_of_page
from tests.support.counting_origin import Counted
from tests.support.gateway import eventually
from tests.support.world import KEY_A

CELLS = [(name, form) for name in CLIENTS for form in FORMS if form not in CLIENTS[name].unable]
ONLY_TUNNELS = ("Node `fetch`", "proxy")  # even for http:// URLs
FIVE_MIB = 5 << 20


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """All clients have run; the gateways still do."""
    # Shared with other tests, so that Go's own library is compiled once.
    cache = tmp_path_factory.getbasetemp().parent / "go-build-cache"
    with Matrix(tmp_path_factory.mktemp("matrix"), cache) as matrix:
        matrix.run()
        yield matrix


def require(matrix: Matrix, name: str) -> None:
    """Skips a client whose language is missing, which in continuous integration it may not."""
    if (program := matrix.missing.get(name)) is None:
        return
    if os.environ.get("CI") and not CLIENTS[name].may_be_missing:
        pytest.fail(f"there is no {program} here")
    pytest.skip(f"there is no {program} here: {name} was not tried")


@pytest.mark.parametrize(("name", "form"), CELLS, ids=[f"{n}-{f}" for n, f in CELLS])
def test_a_client_in_a_form(matrix: Matrix, name: str, form: str) -> None:
    """GET and a large POST pass with the tenant's key; what is too large is refused, and says so.

    A client that gives up is noticed: its request to Invopop is cancelled.
    """
    require(matrix, name)
    seen = matrix.seen[name, form]
    if (name, form) == ONLY_TUNNELS:
        assert not matrix.works(name, form)
        return
    told = {**seen.told, "cancelled": ""}
    assert told == {"get": "200", "post": "200", "cancelled": "", "refused": "413"}, seen.stderr
    assert not seen.told["cancelled"].isdigit()
    at_origin: dict[str, list[Counted]] = {}
    for one in matrix.origin.requests:
        at_origin.setdefault(one.request_id, []).append(one)
    (got,), (posted,) = (at_origin[seen.request_id(one)] for one in ("get", "post"))
    assert (got.size, posted.size) == (0, FIVE_MIB)
    for one in (got, posted):
        assert (one.keys, one.host) == ([f"Bearer {KEY_A}"], "api.invopop.com")
    assert seen.request_id("refused") not in at_origin
    eventually(lambda: seen.request_id("cancelled") in matrix.origin.left)
    logged = [matrix.status(name, form, one) for one in seen.told]
    assert logged == [200, 200, 499, 413], matrix.log_of(name, form)


@pytest.mark.parametrize("name", CLIENTS)
def test_the_table(matrix: Matrix, name: str) -> None:
    """The page says what was seen. `python -m tests.integration.clients.matrix` writes it."""
    require(matrix, name)
    assert matrix.row(name) in list(rows_of_page())


def test_the_table_has_no_others() -> None:
    """A row for each client that is tried."""
    assert len(list(rows_of_page())) == len(CLIENTS)

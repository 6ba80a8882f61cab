"""The status page in a real Chromium: how it looks, reads and keeps itself up to date."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.support.chromium import Chromium, Page
from tests.support.gateway import eventually
from tests.support.world import TOK_S, World, request

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
LOOKS = [("light", 1280), ("dark", 1280), ("light", 800), ("light", 390), ("dark", 390)]
PHONE = 390


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """One browser for all."""
    with Chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with something to show: requests, refusals, a tenant without its key."""
    tenants = {
        "acme": {"key": {"env": "TEST_KEY_A"}},
        "globex": {"key": {"env": "TEST_KEY_B"}, "previous": {"env": "TEST_KEY_OLD"}},
    }
    changes = {
        "vault": {"strict": False},
        "callers": {
            "ledger": {"enforce": False},
            "shared": {"allow": ["silo.*"], "deny": ["*"]},
            "system_serviceaccount_" * 4: {"issuers": [], "enforce": False},
        },
    }
    directory = tmp_path_factory.mktemp("page")
    with World(directory, changes, {"tenants": tenants}) as made:
        for number in range(9):
            made.get(f"/silo/v1/entries/{number}")
            refuse(made, f"seen-{number}")
        yield made


def refuse(world: World, request_id: str) -> None:
    """A request that is refused, and so is on the page."""
    raw = request("GET /x", f"X-Request-Id: {request_id}", "X-Invopop-Tenant: no", token=TOK_S)
    assert world.exchange(raw).status == 403


@pytest.fixture
def page(chromium: Chromium) -> Page:
    """A fresh tab."""
    return chromium.page()


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_it_is_accessible_quiet_and_alone(
    world: World, page: Page, tmp_path: Path, scheme: str, width: int
) -> None:
    """In light and dark, on a desk, a tablet and a phone: axe finds nothing, nothing is complained
    of, nothing but the page is asked for, and nothing has to be scrolled sideways."""
    page.look_as(scheme=scheme, width=width)
    page.open(f"{world.gateway.admin_url}/")
    page.evaluate("document.getElementById('pause').click()")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert set(page.requested()) == {f"{world.gateway.admin_url}/"}
    assert page.complaints() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []
    assert len(page.picture(tmp_path / f"{scheme}-{width}.png")) > 20_000


def violations(page: Page) -> list[tuple[str, list[str]]]:
    """Every rule of axe's that the page breaks, and where."""
    page.evaluate(f"(() => {{ {AXE} }})() || 1")
    found: dict[str, Any] = page.evaluate(
        "axe.run(document, { resultTypes: ['violations', 'passes'] }).then((told) => ({"
        " passes: told.passes.length, violations: told.violations.map((one) =>"
        " [one.id, one.nodes.map((node) => node.html + ' ' + node.failureSummary)]) }))"
    )
    assert found["passes"] > 20, found
    broken: list[tuple[str, list[str]]] = found["violations"]
    return broken


@pytest.mark.parametrize(("width", "shown"), [(1280, "table-cell"), (PHONE, "grid")])
def test_tables_become_cards_on_a_phone(world: World, page: Page, width: int, shown: str) -> None:
    """A row of eight columns cannot be read there."""
    page.look_as(width=width)
    page.open(f"{world.gateway.admin_url}/")
    cell = "getComputedStyle(document.querySelector('#tenants td')).display"
    assert page.evaluate(cell) == shown


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_it_is_light_or_dark_as_preferred(
    world: World, page: Page, scheme: str, is_dark: bool
) -> None:
    """As the visitor's system is."""
    page.look_as(scheme=scheme)
    page.open(f"{world.gateway.admin_url}/")
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g)")
    assert (sum(map(int, colour)) < 150) == is_dark


def test_it_says_everything_without_a_script(world: World, page: Page) -> None:
    """Health, figures, charts, failures, tenants, callers and settings: drawn by the server."""
    refuse(world, "unscripted-1")
    page.look_as(scripts=False)
    page.open(f"{world.gateway.admin_url}/")
    text = page.text()
    for words in ("invopop-gateway", "unscripted-1", "acme", "globex", "billing", "env TEST_KEY_A",
                  "1 tenant has trouble with a key", "reload it for newer figures"):  # fmt: skip
        assert words in text, words
    assert page.evaluate("document.querySelectorAll('svg[role=img]').length") == 3
    assert not page.evaluate("document.getElementById('pause').checkVisibility()")


def test_charts_are_drawn_once_ten_seconds_are_over(world: World, page: Page) -> None:
    """A step that is complete is a line in each chart, and a row in the table."""
    page.look_as()

    def drawn() -> bool:
        page.open(f"{world.gateway.admin_url}/")
        return bool(page.evaluate("document.querySelectorAll('svg .line').length === 5"))

    eventually(drawn, 15)
    assert page.evaluate("document.querySelectorAll('svg .band').length") >= 1
    assert page.evaluate("document.querySelectorAll('#minutes tbody tr').length") >= 1


def test_it_keeps_itself_up_to_date(world: World, page: Page) -> None:
    """What happens later appears by itself; what was opened stays open; it can be paused."""
    page.look_as()
    page.open(f"{world.gateway.admin_url}/")
    page.evaluate("(document.getElementById('settings').open = true)")
    refuse(world, "later-1")
    assert page.until("document.getElementById('failures').textContent.includes('later-1')", 20)
    assert page.evaluate("document.getElementById('settings').open")
    assert page.evaluate("document.getElementById('live').textContent") == "Live"
    page.evaluate("document.getElementById('pause').click()")
    assert page.evaluate("document.getElementById('live').textContent") == "Paused"
    refuse(world, "later-2")
    look_again(page)
    assert not page.evaluate("document.body.textContent.includes('later-2')")
    page.evaluate("document.getElementById('pause').click()")
    assert page.until("document.getElementById('failures').textContent.includes('later-2')", 20)
    assert page.complaints() == []
    assert {url.rstrip("/") for url in page.requested()} == {world.gateway.admin_url}


def test_what_is_being_selected_is_left_alone(world: World, page: Page) -> None:
    """Somebody who copies a request id must not lose it to an update."""
    page.look_as()
    page.open(f"{world.gateway.admin_url}/")
    page.evaluate(
        "document.getSelection().selectAllChildren(document.querySelector('#failures code'))"
    )
    chosen = page.evaluate("document.getSelection().toString()")
    page.evaluate("(window.before = document.getElementById('footer').textContent)")
    refuse(world, "unseen-1")
    look_again(page)
    assert page.until("document.getElementById('footer').textContent !== window.before", 20)
    assert page.evaluate("document.getSelection().toString()") == chosen


def test_a_gateway_that_is_gone_is_told(chromium: Chromium, tmp_path: Path) -> None:
    """Old figures are not shown as if they were new."""
    page = chromium.page()
    page.look_as()
    with World(tmp_path) as world:
        page.open(f"{world.gateway.admin_url}/")
    look_again(page)
    assert page.until("document.getElementById('live').textContent.startsWith('No answer')", 20)
    assert page.evaluate("document.getElementById('live').dataset.tone") == "bad"


def test_nothing_else_may_run(world: World, page: Page) -> None:
    """The policy holds: a script that found its way into the page is not run."""
    page.look_as()
    page.open(f"{world.gateway.admin_url}/")
    page.evaluate(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        " document.body.append(s); })() || 1"
    )
    assert page.evaluate("window.ran === undefined")
    assert page.complaints()


def look_again(page: Page) -> None:
    """As if the visitor came back to the tab: it fetches at once."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

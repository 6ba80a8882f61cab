"""What the demo shows of answers is what they are."""

import io

import pytest
from rich.console import Console

from gateway.cli import showing
from gateway.cli.tour import Sample, TourStep, Visit

STEP = TourStep("billing → acme", "GET", "/x", 200, "[/shows]", lambda _: "")


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("status", [200, 500, 0])
def test_an_answer_is_no_markup(monkeypatch: pytest.MonkeyPatch, width: int, status: int) -> None:
    """On any terminal, whatever came of the request."""
    out = io.StringIO()
    made = Console(file=out, width=width)
    visit = Visit(STEP, "/[red]x", status, "[/note]", 1.0, status == 200)
    showing._show_tour(made, [visit])
    labels = {"caller": "[/c]", "tenant": "", "method": "GET", "route": ":key:", "status": "200"}
    showing._show_metrics(made, [Sample(labels, 1.0)])
    for shown in ("/[red]x", "[/note]", "[/shows]", "[/c]", ":key:"):
        assert shown in out.getvalue()

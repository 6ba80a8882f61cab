"""The PDF, read back by its own rules: header, cross-reference table, streams, end of file."""

import re
from typing import Any

import pytest

from gateway.sandbox import samples
from gateway.sandbox.gobl import build
from gateway.sandbox.pdf import render


def _objects(pdf: bytes) -> dict[int, bytes]:
    """The objects that the cross-reference table leads to (ISO 32000-1 7.5.4)."""
    assert pdf.startswith(b"%PDF-1.4\n%")
    end = re.search(rb"startxref\n(\d+)\n%%EOF\n\Z", pdf)
    assert end
    table = pdf[int(end[1]) :]
    head = re.match(rb"xref\n0 (\d+)\n0000000000 65535 f \n", table)
    assert head
    size, objects = int(head[1]), {}
    assert b"/Size %d " % size in table
    for number in range(1, size):
        row = table[head.end() + 20 * (number - 1) :][:20]
        offset = re.fullmatch(rb"(\d{10}) 00000 n \n", row)
        assert offset
        start = b"%d 0 obj\n" % number
        assert pdf[int(offset[1]) :].startswith(start)
        body = pdf[int(offset[1]) + len(start) :]
        objects[number] = body[: body.index(b"\nendobj\n")]
    return objects


def _texts(pdf: bytes) -> list[str]:
    """The strings drawn, page after page; each stream is as long as it says."""
    texts = []
    for body in _objects(pdf).values():
        stream = re.match(rb"<< /Length (\d+) >>\nstream\n", body)
        if stream:
            content = body[stream.end() :][: int(stream[1])]
            assert body[stream.end() + int(stream[1]) :] == b"\nendstream"
            texts += re.findall(rb"Td \(((?:\\.|[^\\()])*)\) Tj", content)
    return [re.sub(rb"\\(.)", rb"\1", text).decode("cp1252") for text in texts]


def test_it_shows_the_invoice() -> None:
    """Title, both parties, lines and totals, accents included, are on one page."""
    texts = _texts(render(build(samples.invoice("7")).envelope["doc"]))
    for text in (
        "Invoice SAND-7",
        "Talleres Aurora S.L.",
        "Cafetería El Puerto S.L.",
        "ESB87654323",
        "29016 Málaga",
        "Barista training",
        "Total EUR",
        "297.00",
        "786.50",
    ):
        assert text in texts


@pytest.mark.parametrize(("lines", "pages"), [(1, 1), (30, 1), (31, 2), (61, 3)])
def test_long_invoices_have_more_pages(lines: int, pages: int) -> None:
    """Thirty lines fit a page; the totals are on the last."""
    document = samples.invoice()
    document["lines"] = document["lines"][:1] * lines
    pdf = render(build(document).envelope["doc"])
    objects = _objects(pdf)
    assert b"/Count %d " % pages in objects[2]
    assert sum(body.startswith(b"<< /Type /Page ") for body in objects.values()) == pages
    texts = _texts(pdf)
    assert texts.count("Espresso machine service") == lines
    assert texts.count("Payable") == 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (r"a)b(c\d", r"a)b(c\d"),
        ("línea\n€", "línea €"),
        ("東京", "??"),
        (") Tj ET endstream", ") Tj ET endstream"),
    ],
)
def test_any_text_stays_text(name: str, shown: str) -> None:
    """No name can break out of its string; letters beyond the font become question marks."""
    document = samples.invoice()
    document["lines"][0]["item"]["name"] = name
    assert shown in _texts(render(build(document).envelope["doc"]))


@pytest.mark.parametrize(
    "document",
    [{}, {"$schema": "x", "name": "Aurora"}, {"lines": "x", "supplier": 7, "totals": []}],
)
def test_any_document_has_a_pdf(document: dict[str, Any]) -> None:
    """What is no invoice, or an invalid one, still gives a valid file."""
    assert len(_objects(render(document))) == 6

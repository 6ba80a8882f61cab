"""A GOBL document as a PDF (ISO 32000-1), written by hand: A4 pages of text, one font. Pure."""

from typing import Any, Final, NamedTuple

from gateway.sandbox.store import Json

_WIDTH, _HEIGHT = 595, 842
_MARGIN: Final = 56
_RIGHT: Final = _WIDTH - _MARGIN
_LINES_PER_PAGE: Final = 30


class _Text(NamedTuple):
    """A string at a place: points from the page's lower left corner; `right` aligns its end."""

    x: float
    y: float
    text: str
    size: int = 10
    right: bool = False


def render(document: Json) -> bytes:
    """A whole PDF file that shows the document's parties, lines and totals."""
    lines = _list(document.get("lines"))
    chunks = [lines[at : at + _LINES_PER_PAGE] for at in range(0, len(lines), _LINES_PER_PAGE)]
    chunks = chunks or [[]]
    pages = []
    for index, chunk in enumerate(chunks):
        texts, y = _head(document), 600.0
        for line in chunk:
            texts += _row(line, y)
            y -= 14
        if index == len(chunks) - 1:
            texts += _totals(document, y - 10)
        pages.append(_content(texts))
    return _file(pages, _title(document))


def _head(document: Json) -> list[_Text]:
    supplier, customer = _dict(document.get("supplier")), _dict(document.get("customer"))
    texts = [
        _Text(_MARGIN, 770, _title(document), 18),
        _Text(_MARGIN, 748, f"Date: {document.get('issue_date', '')}"),
        _Text(_MARGIN, 620, "Item"),
        _Text(370, 620, "Quantity", right=True),
        _Text(450, 620, "Price", right=True),
        _Text(_RIGHT, 620, f"Total {document.get('currency', '')}", right=True),
    ]
    for x, label, party in ((_MARGIN, "From", supplier), (310, "To", customer)):
        if party:
            texts += [_Text(x, 722 - 14 * i, t) for i, t in enumerate([label, *_party(party)])]
    return texts


def _party(party: Json) -> list[str]:
    tax_id = _dict(party.get("tax_id"))
    address = _dict(next(iter(_list(party.get("addresses"))), None))
    lines = [
        str(party.get("name", "")),
        f"{tax_id.get('country', '')}{tax_id.get('code', '')}",
        f"{address.get('street', '')} {address.get('num', '')}",
        f"{address.get('code', '')} {address.get('locality', '')}",
    ]
    return [line.strip() for line in lines if line.strip()]


def _row(line: Any, y: float) -> list[_Text]:
    line = _dict(line)
    item = _dict(line.get("item"))
    return [
        _Text(_MARGIN, y, str(item.get("name", ""))[:40]),
        _Text(370, y, str(line.get("quantity", "")), right=True),
        _Text(450, y, str(item.get("price", "")), right=True),
        _Text(_RIGHT, y, str(line.get("total", "")), right=True),
    ]


def _totals(document: Json, y: float) -> list[_Text]:
    totals = _dict(document.get("totals"))
    rows = (
        ("Total", "total"),
        ("Tax", "tax"),
        ("Retained", "retained_tax"),
        ("Payable", "payable"),
    )
    shown = [(label, str(totals[name])) for label, name in rows if name in totals]
    texts = []
    for index, (label, value) in enumerate(shown):
        texts.append(_Text(370, y - 14 * index, label))
        texts.append(_Text(_RIGHT, y - 14 * index, value, right=True))
    return texts


def _title(document: Json) -> str:
    kind = str(document.get("type") or "").replace("-", " ")
    name = kind.capitalize() if kind not in ("", "standard") else "Invoice"
    code = "-".join(str(document[part]) for part in ("series", "code") if document.get(part))
    return f"{name} {code}".strip()


def _content(texts: list[_Text]) -> bytes:
    """The operators that draw a page. Courier: each glyph is 0.6 of the size wide."""
    drawn = []
    for text in texts:
        x = text.x - 0.6 * text.size * len(text.text) if text.right else text.x
        place = b"BT /F1 %d Tf %.1f %.1f Td " % (text.size, x, text.y)
        drawn.append(place + _string(text.text) + b" Tj ET")
    return b"\n".join(drawn)


def _string(text: str) -> bytes:
    """A literal string in WinAnsiEncoding (ISO 32000-1 7.3.4.2); other letters become `?`."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    encoded = printable.encode("cp1252", "replace")
    for special in (b"\\", b"(", b")"):
        encoded = encoded.replace(special, b"\\" + special)
    return b"(" + encoded + b")"


def _file(pages: list[bytes], title: str) -> bytes:
    """Header, objects, cross-reference table with each object's offset, trailer (7.5)."""
    kids = b" ".join(b"%d 0 R" % (5 + 2 * index) for index in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
        b"<< /Title %s /Producer (invopop-gateway sandbox) >>" % _string(title),
    ]
    for index, content in enumerate(pages):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (_WIDTH, _HEIGHT, 6 + 2 * index)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    out, offsets = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start, size = len(out), len(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % size
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R /Info 4 0 R >>\n" % size
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % start)


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

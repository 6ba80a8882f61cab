"""The PDF preview: a document's PDF without anything being stored."""

from typing import Any

import httpx
import pytest

from gateway.sandbox import samples

PREVIEW = "/apps/pdf/v1/preview"


async def test_a_preview(acme: httpx.AsyncClient) -> None:
    """Of an envelope, as it was built; the silo stays empty."""
    built = await acme.post(
        "/silo/v1/gobl/build", json={"data": samples.invoice(), "envelop": True}
    )
    envelope = built.json()["data"]
    reply = await acme.post(PREVIEW, json={"data": envelope, "locale": "es", "layout": "Letter"})
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/pdf")
    assert reply.content.startswith(b"%PDF-")
    assert (await acme.get("/silo/v1/entries")).json()["list"] == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": samples.invoice()},
        {"data": {"$schema": "https://gobl.org/draft-0/envelope"}},
        {"data": {"$schema": "https://gobl.org/draft-0/envelope", "doc": {}}, "layout": "A5"},
    ],
)
async def test_what_cannot_be_drawn_is_400(acme: httpx.AsyncClient, body: dict[str, Any]) -> None:
    """A bare document, half an envelope, an unknown layout."""
    assert (await acme.post(PREVIEW, json=body)).status_code == 400

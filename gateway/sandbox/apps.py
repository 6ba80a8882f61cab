"""What the sandbox emulates of Invopop's applications: the preview of a PDF."""

from typing import Any, Final

from starlette.responses import Response

from gateway.sandbox.calls import Call, Endpoint
from gateway.sandbox.files import download
from gateway.sandbox.gobl import ENVELOPE, build
from gateway.sandbox.pdf import render
from gateway.sandbox.refusals import Refusal, bad_request

_PREVIEW: Final[dict[str, Any]] = {
    "data": dict, "logo_url": str, "logo_height": int, "locale": str, "date_format": str,
    "hide_promo": bool, "layout": str,
}  # fmt: skip
_LAYOUTS: Final = ("A4", "Letter", "DIN5008")


async def preview_pdf(call: Call) -> Response:
    """POST /apps/pdf/v1/preview: the document of an envelope as a PDF; nothing is stored.

    Options are checked, but do not change what is drawn.
    """
    body = await call.body(_PREVIEW)
    if body.get("data", {}).get("$schema") != ENVELOPE:
        raise bad_request("data must be an envelope")
    if body.get("layout", "A4") not in _LAYOUTS:
        raise bad_request("layout must be A4, Letter or DIN5008")
    try:
        envelope = build(body["data"]).envelope
    except Refusal as refusal:
        raise bad_request(refusal.message) from None
    return download("preview.pdf", "application/pdf", render(envelope["doc"]))


ENDPOINTS: Final = (Endpoint("POST", "/apps/pdf/v1/preview", preview_pdf),)

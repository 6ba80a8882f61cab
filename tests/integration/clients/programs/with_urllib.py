"""Python's own urllib."""

import ssl
import urllib.request
from urllib.error import HTTPError

from tests.integration.clients.programs.exercises import CA, CERTIFICATE, URL, exercises

handlers: list[urllib.request.BaseHandler] = []
if CERTIFICATE:
    context = ssl.create_default_context(cafile=CA)
    context.load_cert_chain(CERTIFICATE)
    handlers.append(urllib.request.HTTPSHandler(context=context))
opener = urllib.request.build_opener(*handlers)


def send(method: str, path: str, headers: dict[str, str], body: bytes, wait: float) -> int:
    """One request."""
    asked = urllib.request.Request(URL + path, body or None, headers, method=method)
    try:
        with opener.open(asked, timeout=wait) as reply:
            reply.read()  # else it leaves with the body still to come, which is a 499
            status: int = reply.status
            return status
    except HTTPError as error:
        with error:
            error.read()
            return error.code


exercises(send)

"""httpx."""

import ssl

import httpx

from tests.integration.clients.programs.exercises import CA, CERTIFICATE, SOCKET, URL, exercises

verify: ssl.SSLContext | bool = True
if CERTIFICATE:
    verify = ssl.create_default_context(cafile=CA)
    verify.load_cert_chain(CERTIFICATE)
transport = httpx.HTTPTransport(uds=SOCKET) if SOCKET else None

with httpx.Client(verify=verify, transport=transport) as client:

    def send(method: str, path: str, headers: dict[str, str], body: bytes, wait: float) -> int:
        """One request."""
        sent = client.request(method, URL + path, headers=headers, content=body, timeout=wait)
        return sent.status_code

    exercises(send)

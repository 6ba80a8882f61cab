"""requests."""

import requests

from tests.integration.clients.programs.exercises import CA, CERTIFICATE, URL, exercises

with requests.Session() as session:
    if CERTIFICATE:
        session.cert, session.verify = CERTIFICATE, CA

    def send(method: str, path: str, headers: dict[str, str], body: bytes, wait: float) -> int:
        """One request."""
        sent = session.request(method, URL + path, headers=headers, data=body, timeout=wait)
        return sent.status_code

    exercises(send)

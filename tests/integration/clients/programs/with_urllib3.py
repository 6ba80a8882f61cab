"""urllib3, which reads no variable: the proxy is named in code."""

import os
from urllib.parse import urlsplit

import urllib3

from tests.integration.clients.programs.exercises import CA, CERTIFICATE, FORM, URL, exercises

trust = CA or os.environ.get("SSL_CERT_FILE")
certificate = CERTIFICATE or None
pool: urllib3.PoolManager
if FORM in {"proxy", "tunnel"}:
    proxy = urlsplit(os.environ["http_proxy"])
    shown = urllib3.make_headers(proxy_basic_auth=f"{proxy.username}:{proxy.password}")
    where = f"http://{proxy.hostname}:{proxy.port}"
    pool = urllib3.ProxyManager(where, proxy_headers=shown, ca_certs=trust)
else:
    pool = urllib3.PoolManager(ca_certs=trust, cert_file=certificate)

with pool:

    def send(method: str, path: str, headers: dict[str, str], body: bytes, wait: float) -> int:
        """One request."""
        sent = pool.request(
            method, URL + path, headers=headers, body=body, timeout=wait, retries=False
        )
        return sent.status

    exercises(send)
